/* The keys of url_key.h. */
#include "imapd/folder/url_key.h"

#include <errno.h>
#include <unistd.h>

#include <fcntl.h>
#include <sodium.h>

#include "common/disk/fd.h"
#include "imapd/folder/mailbox_tree.h"
#include "imapd/mailbox.h"
#include "storage/text_file.h"

#define KEY_FILE "staffetta-urlauth"

static bool open_directory(const struct mailbox *mailbox, const char *directory, int *fd,
                           struct error *error)
{
    *fd = openat(mailbox->account_fd, directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *fd >= 0 || error_errno(error, "open %s", directory);
}

static bool read_key(int dir_fd, uint8_t key[URL_KEY_OCTETS], struct error *error)
{
    struct buffer text = BUFFER_WITH_LIMIT(2 * URL_KEY_OCTETS);
    size_t len = 0;
    bool read = text_file_load(dir_fd, KEY_FILE, &text, error);
    if (read
        && (sodium_hex2bin(key, URL_KEY_OCTETS, (const char *)text.ptr, text.len, NULL, &len, NULL)
                != 0
            || len != URL_KEY_OCTETS))
        read = error_set(error, ERROR_NOT_FOUND, KEY_FILE " holds no key");
    buffer_clear(&text);
    return read;
}

static bool make_key(int dir_fd, uint8_t key[URL_KEY_OCTETS], struct error *error)
{
    char text[2 * URL_KEY_OCTETS + 1];
    randombytes_buf(key, URL_KEY_OCTETS);
    sodium_bin2hex(text, sizeof(text), key, URL_KEY_OCTETS);
    return text_file_replace(dir_fd, KEY_FILE, slice_of_string(text), error);
}

/* ERROR_NOT_FOUND: there is no such mailbox, or (where none is to be made) it has none. */
static bool find_key(const struct mailbox *mailbox, const char *directory, bool make,
                     uint8_t key[URL_KEY_OCTETS], struct error *error)
{
    int fd;
    if (!open_directory(mailbox, directory, &fd, error))
        return false;
    bool found = read_key(fd, key, error);
    if (!found && error->kind == ERROR_NOT_FOUND && make)
        found = make_key(fd, key, error);
    fd_discard(&fd);
    return found;
}

static void make_token(struct slice rump, const uint8_t key[URL_KEY_OCTETS],
                       char token[URL_TOKEN_SIZE])
{
    uint8_t hash[URL_TOKEN_OCTETS];
    crypto_generichash(hash, sizeof(hash), rump.ptr, rump.len, key, URL_KEY_OCTETS);
    sodium_bin2hex(token, URL_TOKEN_SIZE, hash, sizeof(hash));
}

bool url_key_sign(const struct mailbox *mailbox, const char *directory, struct slice rump,
                  char token[URL_TOKEN_SIZE], struct error *error)
{
    uint8_t key[URL_KEY_OCTETS];
    if (!find_key(mailbox, directory, true, key, error))
        return false;
    make_token(rump, key, token);
    sodium_memzero(key, sizeof(key));
    return true;
}

bool url_key_verify(const struct mailbox *mailbox, const char *directory, struct slice rump,
                    struct slice token)
{
    uint8_t key[URL_KEY_OCTETS];
    char right[URL_TOKEN_SIZE];
    struct error error;
    if (token.len != URL_TOKEN_SIZE - 1 || !find_key(mailbox, directory, false, key, &error))
        return false;
    make_token(rump, key, right);
    sodium_memzero(key, sizeof(key));
    return sodium_memcmp(right, token.ptr, token.len) == 0;
}

bool url_key_reset(const struct mailbox *mailbox, const char *directory, struct error *error)
{
    int fd;
    if (!open_directory(mailbox, directory, &fd, error))
        return false;
    bool reset = unlinkat(fd, KEY_FILE, 0) == 0 || errno == ENOENT;
    if (!reset)
        error_errno(error, "unlink %s/%s", directory, KEY_FILE);
    else if (fsync(fd) != 0)
        reset = error_errno(error, "fsync %s", directory);
    fd_discard(&fd);
    return reset;
}

bool url_key_reset_all(struct mailbox *mailbox, struct error *error)
{
    struct mailbox_tree tree = {0};
    bool reset =
        mailbox_tree_read(&tree, mailbox->account_fd, &mailbox->subscriptions, NULL, error);
    for (size_t i = 0; reset && i < tree.count; i++)
        reset =
            !tree.entries[i].directory || url_key_reset(mailbox, tree.entries[i].directory, error);
    mailbox_tree_clear(&tree);
    return reset;
}
