/*
 * `staffetta fsck ACCOUNT`: looks at every folder and every message of an account that is in use,
 * mends what it can and says what it did. A job of imapd/upkeep/upkeep.h. Found are
 *
 * - records that are missing or damaged, folders without new/, cur/ or tmp/;
 * - names that can be no message's, and what is no file: said, left alone;
 * - UIDs that two files have, that are foreign, or that were never given: new ones are given;
 * - files that cannot be read: their mode is mended, where they are the account's;
 * - files that are empty, or that the disk cannot read: set aside in "staffetta-damaged" below the
 *   Maildir. A young delivery that was cut short is left to the queue, which has it still;
 * - sizes in names that are not the file's (S=, W=): the name is mended;
 * - an index that contradicts the folder: what it knows of that is forgotten;
 * - times that lie in the future, from a clock that went back: said.
 *
 * Every message is read whole, a few megabytes a turn.
 */
#ifndef IMAPD_FOLDER_FSCK_H
#define IMAPD_FOLDER_FSCK_H

struct upkeep_job;

void fsck_begin(struct upkeep_job *job);

#endif
