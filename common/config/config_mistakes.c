/* The list of mistakes in a configuration. Owns its memory; no I/O except printing. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/config/config.h"

static struct config_mistake *next_item(struct config_mistakes *mistakes)
{
    if (mistakes->count == mistakes->capacity) {
        size_t capacity = mistakes->capacity ? 2 * mistakes->capacity : 8;
        void *items = reallocarray(mistakes->items, capacity, sizeof(*mistakes->items));
        if (!items)
            return NULL;
        mistakes->items = items;
        mistakes->capacity = capacity;
    }
    return &mistakes->items[mistakes->count++];
}

/* The text quotes a value with arbitrary octets: control characters must not reach a terminal. */
static void make_printable(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = '?';
}

void config_mistakes_add(struct config_mistakes *mistakes, enum config_severity severity,
                         unsigned line, const char *format, ...)
{
    if (severity == CONFIG_MISTAKE)
        mistakes->fatal++;
    struct config_mistake *mistake = next_item(mistakes);
    if (!mistake)
        return;
    mistake->severity = severity;
    mistake->line = line;
    va_list arguments;
    va_start(arguments, format);
    if (vsnprintf(mistake->text, sizeof(mistake->text), format, arguments) < 0)
        mistake->text[0] = '\0';
    va_end(arguments);
    make_printable(mistake->text);
}

static int compare_lines(const void *a, const void *b)
{
    const struct config_mistake *left = a;
    const struct config_mistake *right = b;
    return (left->line > right->line) - (left->line < right->line);
}

void config_mistakes_sort(struct config_mistakes *mistakes)
{
    if (mistakes->count > 0)
        qsort(mistakes->items, mistakes->count, sizeof(*mistakes->items), compare_lines);
}

void config_mistakes_clear(struct config_mistakes *mistakes)
{
    free(mistakes->items);
    *mistakes = (struct config_mistakes){0};
}

void config_mistakes_print(const struct config_mistakes *mistakes, const char *file_name)
{
    for (size_t i = 0; i < mistakes->count; i++) {
        const struct config_mistake *mistake = &mistakes->items[i];
        const char *prefix = mistake->severity == CONFIG_WARNING ? "warning: " : "";
        if (mistake->line > 0)
            fprintf(stderr, "%s:%u: %s%s\n", file_name, mistake->line, prefix, mistake->text);
        else
            fprintf(stderr, "%s: %s%s\n", file_name, prefix, mistake->text);
    }
    if (mistakes->fatal > 0 && mistakes->count == 0)
        fprintf(stderr, "%s: out of memory\n", file_name);
}
