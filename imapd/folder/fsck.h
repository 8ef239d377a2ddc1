/*
 * `staffetta fsck ACCOUNT`: checks every folder and message of an account in use, repairs what it
 * can and reports what it did. A job of imapd/upkeep/upkeep.h. It finds
 *
 * - missing or damaged records, folders without new/, cur/ or tmp/;
 * - names that no message can have, and entries that are not files: reported, left alone;
 * - UIDs that are used twice, foreign, or were never given: replaced by new ones;
 * - unreadable files: their mode is repaired, if the account owns them;
 * - files that are empty, or that the disk cannot read: moved to "staffetta-damaged" below the
 *   Maildir. A recent delivery that was cut short is left to the queue, which still has it;
 * - sizes in names that do not match the file (S=, W=): the name is corrected;
 * - an index that contradicts the folder: the contradicting data is removed;
 * - times in the future, from a clock that went back: reported.
 *
 * Every message is read completely, a few megabytes per turn.
 */
#ifndef IMAPD_FOLDER_FSCK_H
#define IMAPD_FOLDER_FSCK_H

struct upkeep_job;

void fsck_begin(struct upkeep_job *job);

#endif
