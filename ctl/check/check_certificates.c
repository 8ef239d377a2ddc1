/* Certificates and their keys: readable, a pair, in time, of the right name. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "ctl/check/check.h"

enum {
    DAYS_BEFORE_WARNING = 14,
    DAY_SECONDS = 86400,
    KEY_SECURITY_BITS = 112, /* OpenSSL's level 2, which common/tls/tls.c asks for */
};

struct pair {
    X509 *leaf;
    EVP_PKEY *key;
};

/* NULL, and nothing said, where no path was given: that is a mistake already. */
static FILE *open_file(const struct config_text *path, const char *key,
                       struct config_mistakes *mistakes)
{
    FILE *file = path->text ? fopen(path->text, "re") : NULL;
    if (path->text && !file)
        config_mistakes_add(mistakes, CONFIG_MISTAKE, path->line,
                            "certificate.%s: %.100s: %s: write the path of a PEM file that can be "
                            "read",
                            key, path->text, strerrordesc_np(errno));
    return file;
}

/* The server's certificate; the others after it must be whole too. */
static X509 *read_chain(const struct config_text *path, struct config_mistakes *mistakes)
{
    FILE *file = open_file(path, "chain", mistakes);
    if (!file)
        return NULL;
    X509 *leaf = PEM_read_X509(file, NULL, NULL, NULL);
    X509 *other = leaf;
    while (other) {
        other = PEM_read_X509(file, NULL, NULL, NULL);
        X509_free(other);
    }
    bool whole = leaf && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    ERR_clear_error();
    fclose(file);
    if (!whole)
        config_mistakes_add(mistakes, CONFIG_MISTAKE, path->line,
                            "certificate.chain: %.100s holds no certificate, or a broken one: "
                            "write the path of a PEM file, the server's certificate first",
                            path->text);
    return leaf;
}

/* A key with a passphrase could not be used without somebody at the terminal. */
static int no_passphrase(char *buffer, int size, int writing, void *context)
{
    (void)buffer, (void)size, (void)writing, (void)context;
    return -1;
}

static EVP_PKEY *read_key(const struct config_text *path, struct config_mistakes *mistakes)
{
    struct stat facts;
    FILE *file = open_file(path, "key", mistakes);
    if (!file)
        return NULL;
    EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, no_passphrase, NULL);
    ERR_clear_error();
    if (!key)
        config_mistakes_add(mistakes, CONFIG_MISTAKE, path->line,
                            "certificate.key: %.100s holds no private key, or one with a "
                            "passphrase: write the path of a PEM file without one",
                            path->text);
    if (fstat(fileno(file), &facts) == 0 && (facts.st_mode & (S_IRWXG | S_IRWXO)))
        config_mistakes_add(mistakes, CONFIG_WARNING, path->line,
                            "certificate.key: others than the owner may use %.100s: chmod 600",
                            path->text);
    fclose(file);
    return key;
}

static void check_key(const struct config_certificate *certificate, const struct pair *pair,
                      struct config_mistakes *mistakes)
{
    int type = EVP_PKEY_get_base_id(pair->key);
    if (type != EVP_PKEY_RSA && type != EVP_PKEY_EC)
        config_mistakes_add(mistakes, CONFIG_MISTAKE, certificate->key.line,
                            "certificate.key: %.100s is neither RSA nor ECDSA: make one of these",
                            certificate->key.text);
    else if (EVP_PKEY_get_security_bits(pair->key) < KEY_SECURITY_BITS)
        config_mistakes_add(mistakes, CONFIG_MISTAKE, certificate->key.line,
                            "certificate.key: %.100s is too short to be safe: make one of RSA with "
                            "2048 bits or more, or P-256",
                            certificate->key.text);
    if (X509_check_private_key(pair->leaf, pair->key) != 1)
        config_mistakes_add(mistakes, CONFIG_MISTAKE, certificate->key.line,
                            "certificate.key: %.100s is not the key of the first certificate in "
                            "%.100s: write the two that belong together",
                            certificate->key.text, certificate->chain.text);
    ERR_clear_error();
}

/* Warnings: mail between servers goes on with a certificate out of date, and a machine that starts
 * with a wrong clock must not stay without mail. */
static void check_dates(const struct config_certificate *certificate, X509 *leaf,
                        struct config_mistakes *mistakes)
{
    time_t soon = time(NULL) + DAYS_BEFORE_WARNING * DAY_SECONDS;
    unsigned line = certificate->chain.line;
    if (X509_cmp_current_time(X509_get0_notAfter(leaf)) < 0)
        config_mistakes_add(mistakes, CONFIG_WARNING, line,
                            "certificate.chain: %.100s has expired, clients will refuse it: renew "
                            "it",
                            certificate->chain.text);
    else if (X509_cmp_time(X509_get0_notAfter(leaf), &soon) < 0)
        config_mistakes_add(mistakes, CONFIG_WARNING, line,
                            "certificate.chain: %.100s expires within %d days: renew it",
                            certificate->chain.text, DAYS_BEFORE_WARNING);
    if (X509_cmp_current_time(X509_get0_notBefore(leaf)) > 0)
        config_mistakes_add(mistakes, CONFIG_WARNING, line,
                            "certificate.chain: %.100s is not valid yet: is the clock right?",
                            certificate->chain.text);
}

static void check_name(const struct config_certificate *certificate, X509 *leaf,
                       struct config_mistakes *mistakes)
{
    /* For "*.example.org" any name below will do. */
    char name[300];
    bool wildcard = strncmp(certificate->name, "*.", 2) == 0;
    snprintf(name, sizeof(name), "%s%s", wildcard ? "any" : "",
             certificate->name + (wildcard ? 1 : 0));
    if (X509_check_host(leaf, name, 0, 0, NULL) != 1)
        config_mistakes_add(mistakes, CONFIG_WARNING, certificate->line,
                            "certificate %.100s: %.100s is not for that name, clients will "
                            "complain: write the name that is in it",
                            certificate->name, certificate->chain.text);
    ERR_clear_error();
}

void check_certificates(const struct config *config, struct config_mistakes *mistakes)
{
    for (size_t i = 0; i < config->certificate_count; i++) {
        const struct config_certificate *certificate = &config->certificates[i];
        struct pair pair = {.leaf = read_chain(&certificate->chain, mistakes),
                            .key = read_key(&certificate->key, mistakes)};
        if (pair.leaf) {
            check_dates(certificate, pair.leaf, mistakes);
            check_name(certificate, pair.leaf, mistakes);
        }
        if (pair.leaf && pair.key)
            check_key(certificate, &pair, mistakes);
        X509_free(pair.leaf);
        EVP_PKEY_free(pair.key);
    }
}
