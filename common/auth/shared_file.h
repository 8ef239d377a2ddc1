/*
 * A small text file that people and programs edit while a daemon uses it: accounts, aliases, the
 * sender map.
 *
 * Reading (`auth`): shared_file_look() costs one fstatat() while nothing changed, so it can be
 * asked once a loop turn. The file is named by a descriptor of its directory, which the master may
 * have opened for a process that could not reach it by path.
 *
 * Writing (the command line): shared_file_edit() reads, lets the caller make the new text, and puts
 * it in place of the old one whole, on disk, or not at all. Two at once wait for each other on
 * `<name>.lock`, which stays there. Owner, group and mode are kept.
 */
#ifndef COMMON_AUTH_SHARED_FILE_H
#define COMMON_AUTH_SHARED_FILE_H

#include <sys/stat.h>

#include "common/buffer.h"
#include "common/error.h"

enum { SHARED_FILE_MAX = 256 << 20 }; /* octets */

struct shared_file {
    int dir_fd;          /* borrowed */
    const char *name;    /* borrowed; within the directory */
    int fd;              /* what was read, held open so that its inode number is not used again */
    struct stat read_as; /* all zero: missing or never seen */
    bool looked;
    bool settled; /* its times can no longer hide a change made after it was read */
};

void shared_file_init(struct shared_file *file, int dir_fd, const char *name);
void shared_file_clear(struct shared_file *file); /* may run twice */

enum shared_file_news {
    SHARED_FILE_SAME,    /* as at the last look, also if that failed */
    SHARED_FILE_CHANGED, /* *text holds the whole; caller clears */
    SHARED_FILE_FAILED,  /* missing, unreadable or too large; said once, then it is SAME */
};
/* Blocks no longer than reading the file takes. *text is empty and has its limit. */
enum shared_file_news shared_file_look(struct shared_file *file, struct buffer *text,
                                       struct error *error);

/* Where a path leads, through symbolic links; the last component need not exist. */
bool shared_file_locate(const char *path, int *dir_fd, char **name, struct error *error);
/* Frees what shared_file_locate gave; may run twice. */
void shared_file_release(int *dir_fd, char **name);

/* Makes the new text out of the old (empty if there is no file). False refuses the edit. */
typedef bool shared_file_editor(struct slice old, struct buffer *text, void *context,
                                struct error *error);

/* new_group: of a file that does not exist yet; (gid_t)-1 for the caller's own. Such a file has
 * mode 0640. Errors are the editor's own, or ERROR_TEMPORARY. Blocks while another edit goes on. */
bool shared_file_edit(const char *path, gid_t new_group, shared_file_editor *editor, void *context,
                      struct error *error);

#endif
