/*
 * Makes build/generated/common/mime/charset_tables.h, by asking iconv(3) what each octet, each pair
 * of octets is. Runs while staffetta is built, and never afterwards.
 */
#include <iconv.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/mime/charset_lists.h"

enum { GB18030_FOUR = 39420 }; /* sequences of four octets below U+10000 */

static iconv_t open_charset(const char *name)
{
    iconv_t charset = iconv_open("UTF-32LE", name);
    if (charset == (iconv_t)-1) {
        fprintf(stderr, "iconv does not know %s\n", name);
        exit(EXIT_FAILURE);
    }
    return charset;
}

/* One character of the Basic Multilingual Plane; 0: these octets are none, or several. */
static uint16_t ask(iconv_t charset, const uint8_t *octets, size_t count)
{
    char in[4];
    uint8_t out[64];
    char *from = in, *to = (char *)out;
    size_t left = count, room = sizeof(out);
    for (size_t i = 0; i < count; i++)
        in[i] = (char)octets[i];
    iconv(charset, NULL, NULL, NULL, NULL);
    bool known = iconv(charset, &from, &left, &to, &room) != (size_t)-1 && left == 0
                 && iconv(charset, NULL, NULL, &to, &room) != (size_t)-1;
    if (!known || room != sizeof(out) - 4 || out[2] != 0 || out[3] != 0)
        return 0;
    return (uint16_t)(out[0] | out[1] << 8);
}

static void print_next(unsigned *printed, unsigned number)
{
    printf("%s0x%04x,", (*printed)++ % 12 == 0 ? "\n    " : " ", number);
}

static void print_single(const char *table, const char *name, unsigned first)
{
    iconv_t charset = open_charset(name);
    unsigned printed = 0;
    printf("static const uint16_t %s[%u] = {", table, 256 - first);
    for (unsigned octet = first; octet < 256; octet++)
        print_next(&printed, ask(charset, (const uint8_t[]){(uint8_t)octet}, 1));
    printf("\n};\n");
    iconv_close(charset);
}

/* Octets of a pair, after `prefix` if that is not 0. */
struct pairs {
    uint8_t prefix;
    unsigned first_lead, last_lead, first_trail, last_trail;
};

static void print_rows(const char *table, const char *name, const struct pairs *pairs)
{
    iconv_t charset = open_charset(name);
    unsigned printed = 0;
    printf("static const uint16_t %s_rows[%u] = {", table,
           (pairs->last_lead - pairs->first_lead + 1)
               * (pairs->last_trail - pairs->first_trail + 1));
    for (unsigned lead = pairs->first_lead; lead <= pairs->last_lead; lead++) {
        for (unsigned trail = pairs->first_trail; trail <= pairs->last_trail; trail++) {
            const uint8_t octets[] = {pairs->prefix, (uint8_t)lead, (uint8_t)trail};
            print_next(&printed,
                       pairs->prefix ? ask(charset, octets, 3) : ask(charset, octets + 1, 2));
        }
    }
    printf("\n};\n");
    iconv_close(charset);
}

static void print_double(const char *table, const char *name, const struct pairs *pairs)
{
    char single[64];
    snprintf(single, sizeof(single), "%s_single", table);
    print_single(single, name, 0);
    print_rows(table, name, pairs);
    printf(
        "static const struct charset_pairs %s = {%s, %s_rows, 0x%02x, 0x%02x, 0x%02x, 0x%02x};\n",
        table, single, table, pairs->first_lead, pairs->last_lead, pairs->first_trail,
        pairs->last_trail);
}

/* Four octets are a number (the third and first of 126, the others of 10), and numbers that follow
 * each other are mostly characters that do. */
static void print_gb18030_four(void)
{
    iconv_t charset = open_charset("GB18030");
    uint16_t before = 0;
    printf("static const struct charset_run gb18030_runs[] = {\n");
    for (unsigned i = 0; i < GB18030_FOUR; i++) {
        const uint8_t octets[] = {(uint8_t)(0x81 + i / 12600), (uint8_t)(0x30 + i / 1260 % 10),
                                  (uint8_t)(0x81 + i / 10 % 126), (uint8_t)(0x30 + i % 10)};
        uint16_t character = ask(charset, octets, sizeof(octets));
        bool goes_on = i > 0 && (character == before + 1 || (character == 0 && before == 0));
        if (!goes_on)
            printf("    {%u, 0x%04x},\n", i, character);
        before = character;
    }
    printf("};\n");
    iconv_close(charset);
}

#define PRINT_SINGLE(table, name, aliases) print_single(#table, name, 128);
#define PRINT_DOUBLE(table, name, first_lead, last_lead, first_trail, last_trail)                  \
    print_double(#table, name,                                                                     \
                 &(const struct pairs){0, first_lead, last_lead, first_trail, last_trail});

int main(void)
{
    printf("/* Made by common/mime/charset_tables_main.c. */\n");
    CHARSETS_OF_ONE_OCTET(PRINT_SINGLE)
    CHARSETS_OF_TWO_OCTETS(PRINT_DOUBLE)
    print_rows("jis_x_0212", "EUC-JP", &(const struct pairs){0x8f, 0xa1, 0xfe, 0xa1, 0xfe});
    print_gb18030_four();
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
