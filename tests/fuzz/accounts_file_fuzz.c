/* A passwd-file: what parses is found by its canonical names, and each edit of it parses again. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "common/auth/accounts_file.h"
#include "common/auth/canonical.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t count);

static bool parse(struct slice text, struct accounts *accounts)
{
    struct buffer copy = BUFFER_WITH_LIMIT(1 << 20);
    struct error error = {0};
    buffer_append(&copy, text);
    accounts_init(accounts);
    bool parsed = accounts_parse(accounts, &copy, &error);
    assert(parsed || error.kind != ERROR_NONE);
    buffer_clear(&copy);
    return parsed;
}

static void check_edits(struct slice old, struct slice address)
{
    struct buffer text = BUFFER_WITH_LIMIT(1 << 20);
    struct error error;
    struct accounts accounts;
    assert(accounts_text_set_verifier(old, address, SLICE("!"), &text, &error));
    assert(parse(buffer_slice(&text), &accounts));
    const struct account *changed = accounts_find(&accounts, address);
    assert(changed && slice_equal(changed->verifier, SLICE("!")));
    accounts_clear(&accounts);
    buffer_reset(&text);
    assert(accounts_text_remove(old, address, &text, &error));
    assert(parse(buffer_slice(&text), &accounts));
    assert(!accounts_find(&accounts, address));
    accounts_clear(&accounts);
    buffer_clear(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t count)
{
    struct slice text = slice_of(octets, count);
    struct accounts accounts;
    if (count > 10000 || !parse(text, &accounts))
        return 0;
    unsigned checked = 0;
    for (const struct account *account = accounts.by_address; account && checked < 3;
         account = account->hh.next, checked++) {
        assert(accounts_find(&accounts, account->address) == account);
        check_edits(text, account->address);
    }
    accounts_clear(&accounts);
    return 0;
}
