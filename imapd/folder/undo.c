/* Keeping what is expunged; see undo.h. */
#include "imapd/folder/undo.h"

#include <stddef.h>

#include "common/config/config.h"
#include "imapd/folder/folder_internal.h"
#include "imapd/mailbox.h"
#include "storage/folder_name.h"
#include "storage/uidvalidity.h"

enum { UNKNOWN_LETTER = 0, NO_LETTER = 255 };

/* ---- expiry ---- */

static void tell_failed(const struct undo *undo, const struct error *error)
{
    LOG(undo->mailbox->log, LOG_ERROR, "expunged_not_swept", log_failure(error));
}

static void sweep_soon(struct undo *undo)
{
    turn_again(&undo->mailbox->turn, &undo->in_next_turn);
}

static void end_sweep(struct undo *undo)
{
    const struct expunged_sweep *sweep = &undo->sweep;
    undo->octets = sweep->octets;
    undo->counted = true;
    undo->sweeping = false;
    if (sweep->going > 0)
        LOG(undo->mailbox->log, LOG_INFO, "expunged_removed",
            log_number("messages", (int64_t)sweep->going),
            log_number("octets_left", (int64_t)sweep->octets));
    if (undo->limits.seconds == 0)
        expunged_close(&undo->expunged);
    expunged_sweep_clear(&undo->sweep);
}

static void sweep_slice(struct deferred *deferred)
{
    struct undo *undo = (void *)((uint8_t *)deferred - offsetof(struct undo, in_next_turn));
    struct mailbox *mailbox = undo->mailbox;
    struct error error;
    const char *folder;
    if (!undo->sweeping) {
        undo->sweeping = expunged_sweep_begin(&undo->sweep, mailbox->account_fd, &undo->limits,
                                              mailbox_now(), &error);
        if (!undo->sweeping) {
            tell_failed(undo, &error);
            return;
        }
    }
    bool more = expunged_sweep_step(&undo->sweep, &mailbox->inbox, &folder);
    if (folder)
        folder_on_deleted(mailbox, folder);
    if (more)
        sweep_soon(undo);
    else
        end_sweep(undo);
}

static void forget_keywords(struct deferred *deferred)
{
    struct undo *undo = (void *)((uint8_t *)deferred - offsetof(struct undo, at_turn_end));
    undo->from = NULL;
    undo->record_loaded = false;
}

static void on_daily(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    sweep_soon(timer->data);
}

/* ---- life ---- */

/* An existing folder of the account with that name must not be hidden. */
static const char *find_name(const struct mailbox *mailbox)
{
    const char *name = mailbox->config->undo.mailbox.text;
    char directory[MAILDIR_NAME_SIZE];
    if (!folder_name_to_directory(slice_of_string(name), directory, NULL))
        return NULL;
    if (!folders_exists(mailbox->account_fd, directory))
        return name;
    LOG(mailbox->log, LOG_WARNING, "expunged_hidden", log_text("account", mailbox->account),
        log_bytes("folder", slice_of_string(directory)));
    return NULL;
}

void undo_start(struct undo *undo, struct mailbox *mailbox)
{
    const struct config_undo *config = &mailbox->config->undo;
    *undo = (struct undo){
        .mailbox = mailbox, .limits = expunged_limits_of(config), .expunged = EXPUNGED_CLOSED};
    undo->in_next_turn.run = sweep_slice;
    undo->at_turn_end.run = forget_keywords;
    if (undo->limits.seconds > 0)
        undo->name = find_name(mailbox);
    if (expunged_sweep_is_due(mailbox->account_fd, &undo->limits, mailbox_now()))
        sweep_soon(undo);
    double daily = (double)expunged_sweep_seconds(&undo->limits);
    ev_timer_init(&undo->daily, on_daily, daily, daily);
    undo->daily.data = undo;
    if (undo->limits.seconds == 0)
        return;
    ev_timer_start(mailbox->turn.loop, &undo->daily);
    ev_unref(mailbox->turn.loop); /* it keeps nobody alive */
}

void undo_stop(struct undo *undo)
{
    if (!undo->mailbox)
        return;
    struct ev_loop *loop = undo->mailbox->turn.loop;
    if (ev_is_active(&undo->daily)) {
        ev_ref(loop);
        ev_timer_stop(loop, &undo->daily);
    }
    turn_cancel(&undo->in_next_turn);
    turn_cancel(&undo->at_turn_end);
    expunged_sweep_clear(&undo->sweep);
    expunged_close(&undo->expunged);
    undo->mailbox = NULL;
}

bool undo_is_name(const struct undo *undo, struct slice name)
{
    struct slice own = slice_of_string(undo->name);
    struct slice rest = slice_from(name, own.len);
    return undo->name && slice_starts_with(name, own)
           && (rest.len == 0 || rest.ptr[0] == FOLDER_SEPARATOR);
}

/* ---- keywords ---- */

/* The record of a directory that nobody has opened is read, and written, here. */
static bool load_record(struct undo *undo, struct error *error)
{
    struct mailbox *mailbox = undo->mailbox;
    uint32_t uidvalidity;
    int fd = undo->expunged.box.fd;
    if (!undo->record_loaded)
        undo->record_loaded =
            folder_record_load(fd, &undo->record, error)
            || ((error->kind == ERROR_NOT_FOUND || error->kind == ERROR_PERMANENT)
                && uidvalidity_next(mailbox->account_fd, mailbox_now(), &uidvalidity, error)
                && folder_record_renew(fd, uidvalidity, &undo->record, error));
    return undo->record_loaded;
}

/* ERROR_PERMANENT: there is no letter left. */
static bool find_letter(struct undo *undo, struct slice keyword, unsigned *letter,
                        struct error *error)
{
    struct folder *open;
    if (folder_find_open(undo->mailbox, EXPUNGED_DIRECTORY)) {
        if (!folder_open(undo->mailbox, EXPUNGED_DIRECTORY, &open, error))
            return false;
        bool found = folder_keyword(open, keyword, letter, error);
        folder_close(open);
        return found;
    }
    if (!load_record(undo, error))
        return false;
    if (folder_record_find_keyword(&undo->record, keyword, letter))
        return true;
    struct folder_record record = undo->record;
    if (!folder_record_add_keyword(&record, keyword, letter))
        return error_set(error, ERROR_PERMANENT, "no room for another keyword");
    if (!folder_record_store(undo->expunged.box.fd, &record, error))
        return false;
    undo->record = record;
    return true;
}

static bool translate_letter(struct undo *undo, unsigned letter, uint32_t *there,
                             struct error *error)
{
    unsigned found;
    uint8_t *known = &undo->letters[letter];
    const char *keyword = undo->from->record.keywords[letter];
    if (*known == UNKNOWN_LETTER) {
        if (keyword[0] != '\0' && find_letter(undo, slice_of_string(keyword), &found, error))
            *known = (uint8_t)(1 + found);
        else if (keyword[0] == '\0' || error->kind == ERROR_PERMANENT)
            *known = NO_LETTER;
        else
            return false;
    }
    if (*known != NO_LETTER)
        *there |= (uint32_t)1 << (*known - 1);
    return true;
}

/* A keyword that cannot be recorded is no reason to refuse an EXPUNGE. */
static uint32_t translate(struct undo *undo, const struct folder *folder, uint32_t letters)
{
    struct error error;
    uint32_t there = 0;
    if (letters == 0)
        return 0;
    turn_defer(&undo->mailbox->turn, &undo->at_turn_end);
    if (undo->from != folder) {
        undo->from = folder;
        memset(undo->letters, UNKNOWN_LETTER, sizeof(undo->letters));
    }
    bool translated = expunged_open(&undo->expunged, &undo->mailbox->inbox, &error);
    for (uint32_t left = letters; translated && left != 0; left &= left - 1)
        translated = translate_letter(undo, (unsigned)__builtin_ctz(left), &there, &error);
    return translated ? there : 0;
}

/* ---- keeping ---- */

bool undo_keeps(const struct undo *undo, const struct folder *folder)
{
    return undo->limits.seconds > 0 && !expunged_holds(folder->directory);
}

static void add_octets(struct undo *undo, uint64_t octets)
{
    undo->octets += octets;
    if (undo->limits.octets > 0 && (!undo->counted || undo->octets > undo->limits.octets))
        sweep_soon(undo);
}

bool undo_keep(struct undo *undo, struct folder *folder, const struct message *message,
               struct error *error)
{
    struct mailbox *mailbox = undo->mailbox;
    uint64_t octets = quota_octets_of(&folder->box, MAILDIR_CUR, message->name);
    struct expunged_message kept = {
        .box = &folder->box,
        .place = MAILDIR_CUR,
        .name = message->name,
        .letters = translate(undo, folder, message->letters),
        .host = slice_of_string(mailbox->config->hostname),
        .now = mailbox_now(),
    };
    if (!expunged_keep(&undo->expunged, &mailbox->inbox, &kept, &mailbox->tombstones, error))
        return false;
    add_octets(undo, octets);
    return true;
}

bool undo_flush(struct undo *undo, struct error *error)
{
    return expunged_flush(&undo->expunged, error);
}

int undo_unflushed_fd(const struct undo *undo)
{
    return undo->expunged.box.cur_fd;
}

bool undo_keep_folder(struct undo *undo, const char *directory, struct error *error)
{
    struct mailbox *mailbox = undo->mailbox;
    struct quota_usage usage = {0, 0};
    if (undo->limits.seconds == 0)
        return folders_delete(&mailbox->inbox, directory, mailbox_now(), error);
    if (!expunged_holds(directory)
        && !quota_count_folder(mailbox->account_fd, directory, &usage, error))
        return false;
    if (!expunged_keep_folder(&undo->expunged, &mailbox->inbox, directory, mailbox_now(), error))
        return false;
    add_octets(undo, (uint64_t)usage.octets);
    return true;
}
