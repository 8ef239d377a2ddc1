/* Certificates of a network role; see tls_role.h. */
#include "common/tls/tls_role.h"

#include "common/buffer.h"
#include "common/disk/fd.h"

enum { CHAIN_MAX = 1 << 20 };

static bool add_certificate(struct tls_role *tls, struct role *role, uint32_t index,
                            struct error *error)
{
    const struct config_certificate *certificate = &role->config.certificates[index];
    int fd = role_take_file(role, DESCRIPTOR_CHAIN, index);
    if (fd < 0)
        return error_set(error, ERROR_TEMPORARY, "the file was not given");
    struct buffer chain = BUFFER_WITH_LIMIT(CHAIN_MAX);
    bool added = fd_read_all(fd, &chain, error)
                 && tls_context_add(tls->context, certificate->name, buffer_slice(&chain),
                                    &tls->signer, index, error);
    fd_discard(&fd);
    buffer_clear(&chain);
    return added;
}

bool tls_role_open(struct tls_role *tls, struct role *role, const char *alpn, struct error *error)
{
    *tls = (struct tls_role){.keys = {.fd = -1}};
    tls->signer = (struct keys_signer){keys_client_sign, &tls->keys};
    if (role->config.certificate_count == 0)
        return true;
    if (!keys_provider_load(error))
        return false;
    tls->context = tls_context_new(alpn, error);
    if (!tls->context)
        return false;
    if (role->kind != ROLE_SMTP && role->config.client_certificates.authorities.text)
        tls_context_ask_client(tls->context);
    size_t added = 0;
    for (size_t i = 0; i < role->config.certificate_count; i++) {
        struct error why = {0};
        if (add_certificate(tls, role, (uint32_t)i, &why))
            added++;
        else
            LOG(&role->log, LOG_ERROR, "certificate_unusable",
                log_text("certificate", role->config.certificates[i].name), log_failure(&why));
    }
    if (added == 0)
        tls_role_close(tls);
    return true;
}

void tls_role_close(struct tls_role *tls)
{
    tls_context_free(tls->context);
    tls->context = NULL;
}

void tls_role_keys_up(struct tls_role *tls, struct role_peer *peer)
{
    tls->keys.fd = peer->channel.fd;
}

void tls_role_keys_down(struct tls_role *tls, struct role_peer *peer)
{
    struct role_peer *other = role_find_peer(peer->role, ROLE_KEYS);
    tls->keys.fd = other ? other->channel.fd : -1;
}
