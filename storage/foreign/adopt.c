/* Taking over folders of other servers; see adopt.h. */
#include "storage/foreign/adopt.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/size.h"
#include "storage/change_log.h"
#include "storage/foreign/foreign_keywords.h"
#include "storage/foreign/foreign_uids.h"
#include "storage/maildir_scan.h"
#include "storage/maildir_store.h"
#include "storage/text_file.h"
#include "storage/uidvalidity.h"

static bool is_there(int folder_fd, const char *name)
{
    struct stat status;
    return fstatat(folder_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Whether a list may be believed: of a folder of ours only where it never gave a UID, as of one
 * that was made before the mail was copied into it. One whose record was lost has given UIDs that
 * no list knows. */
static bool may_adopt(int folder_fd, struct folder_record *before)
{
    struct error error;
    *before = (struct folder_record){.uidvalidity = 0};
    if (is_there(folder_fd, FOLDER_RECORD_FILE ".broken") || is_there(folder_fd, CHANGE_LOG_FILE))
        return false;
    return folder_record_load(folder_fd, before, &error) ? before->uid_watermark == 1
                                                         : error.kind == ERROR_NOT_FOUND;
}

/* The list's name, or NULL. */
static const char *find_list(int folder_fd, struct folder_record *before)
{
    static const char *const theirs[] = {ADOPT_DOVECOT_UIDS, ADOPT_COURIER_UIDS};
    for (size_t i = 0; i < ARRAY_LENGTH(theirs); i++)
        if (is_there(folder_fd, theirs[i]))
            return may_adopt(folder_fd, before) ? theirs[i] : NULL;
    return NULL;
}

bool adopt_is_waiting(int folder_fd)
{
    struct folder_record before;
    return find_list(folder_fd, &before) != NULL;
}

/* Where that fails it stands there until the record is lost, no more. */
static void rename_list(int folder_fd, const char *list, const char *suffix)
{
    char name[64];
    snprintf(name, sizeof(name), "%s%s", list, suffix);
    renameat(folder_fd, list, folder_fd, name);
}

/* ---- messages ---- */

struct work {
    const struct adoption_request *request;
    struct folder_record *record;
    const struct folder_record *before; /* ours, which gave no UID; zeroed: there was none */
    const struct foreign_uids *uids;
    const struct foreign_keywords *keywords;
    struct adoption *adoption;
};

/* Letters that stand for $Forwarded become the flag that it is with us. */
static void translate(const struct foreign_keywords *keywords, struct maildir_name *name)
{
    uint32_t letters = name->keywords | foreign_keywords_of(keywords, name->key);
    if (letters & keywords->forwarded)
        name->flags |= MAILDIR_PASSED;
    name->keywords = letters & ~keywords->forwarded;
}

static bool same_marks(const struct maildir_name *a, const struct maildir_name *b)
{
    return a->uidvalidity == b->uidvalidity && a->uid == b->uid && a->flags == b->flags
           && a->keywords == b->keywords;
}

/* One without a UID is left where it is, but for its keywords: it is given one like any new one. */
static bool adopt_message(const struct work *work, const struct maildir_entry *entry,
                          struct error *error)
{
    struct maildir_name name;
    if (!maildir_name_parse(maildir_entry_name(entry), &name))
        return true;
    struct maildir_name wanted = name;
    const struct foreign_uid *known = foreign_uids_find(work->uids, name.key);
    wanted.uid = known ? known->uid : 0;
    wanted.uidvalidity = known ? work->record->uidvalidity : 0;
    translate(work->keywords, &wanted);
    work->adoption->messages += known != NULL;
    work->adoption->others += known == NULL;
    if (same_marks(&name, &wanted) && (entry->place == MAILDIR_CUR || !known))
        return true;
    char renamed[MAILDIR_NAME_SIZE];
    return maildir_change(work->request->box, entry->place, entry->name, &wanted, renamed, error)
           || error->kind == ERROR_NOT_FOUND; /* another program was quicker */
}

static bool adopt_messages(const struct work *work, struct error *error)
{
    struct maildir_list list;
    const struct maildir *box = work->request->box;
    maildir_list_init(&list);
    bool adopted = maildir_scan(box, &list, error);
    for (size_t i = 0; adopted && i < list.count; i++)
        adopted = adopt_message(work, &list.entries[i], error);
    maildir_list_clear(&list);
    /* The record says that all of this has happened. */
    return adopted
           && ((fsync(box->cur_fd) == 0 && fsync(box->new_fd) == 0)
               || error_errno(error, "flush the folder"));
}

/* ---- the folder ---- */

/* Two folders of Courier's that were first opened in the same second have one UIDVALIDITY. With us
 * it says besides which folder a file belongs to. */
static bool choose_uidvalidity(const struct work *work, struct error *error)
{
    bool claimed;
    const struct adoption_request *request = work->request;
    if (!uidvalidity_claim(request->account_fd, request->directory, work->uids->uidvalidity,
                           request->now, &claimed, error))
        return false;
    work->record->uidvalidity = work->uids->uidvalidity;
    work->adoption->has_uidvalidity_of_other = !claimed;
    return claimed
           || uidvalidity_next(request->account_fd, request->now, &work->record->uidvalidity,
                               error);
}

static bool adopt_listed(const struct work *work, struct error *error)
{
    work->record->uid_watermark = work->uids->next_uid;
    work->record->special_use =
        work->before->special_use | special_use_of_directory(work->request->directory);
    if (!choose_uidvalidity(work, error) || !adopt_messages(work, error)
        || !folder_record_store(work->request->box->fd, work->record, error))
        return false;
    rename_list(work->request->box->fd, work->adoption->from, ".adopted");
    return true;
}

/* *record: the one of before, then the new one. */
static bool adopt_with(const struct adoption_request *request, const struct foreign_uids *uids,
                       struct folder_record *record, struct adoption *adoption, struct error *error)
{
    const struct folder_record before = *record;
    struct foreign_keywords keywords;
    struct folder_record fresh;
    struct work work = {request, &fresh, &before, uids, &keywords, adoption};
    if (!folder_record_init(uids->uidvalidity, &fresh, error))
        return false;
    foreign_keywords_init(&keywords, &fresh);
    bool adopted =
        foreign_keywords_load(&keywords, request->box->fd, error) && adopt_listed(&work, error);
    adoption->bad_lines = uids->bad_lines + keywords.bad_lines;
    adoption->first_bad_line = uids->first_bad_line;
    foreign_keywords_clear(&keywords);
    if (adopted)
        *record = fresh;
    return adopted;
}

bool adopt_folder(const struct adoption_request *request, struct folder_record *record,
                  struct adoption *adoption, struct error *error)
{
    struct buffer text = BUFFER_WITH_LIMIT(FOREIGN_UIDS_OCTETS_MAX);
    struct foreign_uids uids = {.items = NULL};
    struct folder_record taken;
    int folder_fd = request->box->fd;
    *adoption = (struct adoption){.from = find_list(folder_fd, &taken)};
    if (!adoption->from)
        return error_set(error, ERROR_NOT_FOUND, "no other server's list of UIDs is there");
    bool loaded = text_file_load(folder_fd, adoption->from, &text, error);
    bool read = loaded
                && (foreign_uids_parse(buffer_slice(&text), &uids, error)
                    || error_prefix(error, "%s", adoption->from));
    bool adopted = read && adopt_with(request, &uids, &taken, adoption, error);
    if (adopted)
        *record = taken;
    if (!read && error->kind == ERROR_PERMANENT)
        rename_list(folder_fd, adoption->from, ".broken");
    foreign_uids_clear(&uids);
    buffer_clear(&text);
    return adopted;
}
