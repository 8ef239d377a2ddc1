/*
 * `staffetta queue`: the queue answers it. What was said in each attempt to send a message is the
 * journal's to know, so `show` asks both; where the journal cannot say, the rest is shown. And
 * `staffetta why`, which the journal answers, and after it the queue what of it waits.
 */
#include <stdlib.h>
#include <string.h>

#include "common/config/config.h"
#include "ctl/command/command.h"

static bool is_show(const struct command *command)
{
    return command->count > 0 && strcmp(command->arguments[0], "show") == 0;
}

static bool wants_json(const struct command *command)
{
    for (int i = 1; i < command->count; i++)
        if (strcmp(command->arguments[i], "--json") == 0)
            return true;
    return false;
}

/* What the journal knows of that message's attempts, on standard output. */
static void print_attempts(const struct command *command, const char *path, char *id, bool json)
{
    struct error error;
    char as_json[] = "--json", as_text[] = "--text";
    char *arguments[] = {json ? as_json : as_text, id};
    struct command question = *command;
    question.verb = "attempts";
    question.arguments = arguments;
    question.count = 2;
    if (!command_ask(&question, path, &error))
        fprintf(stderr, "staffetta queue: what was said in the attempts of %s is not known: %s\n",
                id, error.text);
}

/* ---- JSON ---- */

/* A message is a line: [{"id":"...", ... ]} with a comma or the list's end after it
 * (smtpd/queue/admin/admin_print.c). Its attempts become its last member. */
static void print_message(const struct command *command, const char *path, char *line)
{
    static const char before[] = "{\"id\":\"";
    char *id = strstr(line, before);
    char *end = strrchr(line, '}');
    char *quote = id ? strchr(id + sizeof(before) - 1, '"') : NULL;
    if (!quote || !end) {
        fputs(line, stdout);
        return;
    }
    printf("%.*s,\"attempts\":[", (int)(end - line), line);
    *quote = '\0';
    fflush(stdout);
    print_attempts(command, path, id + sizeof(before) - 1, true);
    printf("]%s", end);
}

static void print_messages(const struct command *command, const char *path, char *answer)
{
    while (*answer) {
        char *next = answer + strcspn(answer, "\n");
        char line_end = *next;
        *next = '\0';
        print_message(command, path, answer);
        if (line_end)
            putchar(line_end);
        answer = line_end ? next + 1 : next;
    }
}

/* ---- text ---- */

static void print_text(const struct command *command, const char *path, const char *answer)
{
    fputs(answer, stdout);
    fflush(stdout);
    for (int i = 1; i < command->count; i++)
        if (command->arguments[i][0] != '-')
            print_attempts(command, path, command->arguments[i], false);
}

static void print_shown(const struct command *command, const char *path, char *answer)
{
    if (wants_json(command))
        print_messages(command, path, answer);
    else
        print_text(command, path, answer);
}

/* ---- asking ---- */

/* The answer, which the caller frees; NULL: there is none. */
static char *ask(const struct command *command, const char *path, struct error *error)
{
    char *answer = NULL;
    size_t octets = 0;
    FILE *memory = open_memstream(&answer, &octets);
    bool answered = memory ? command_ask_into(command, path, memory, error) : error_memory(error);
    if (memory && fclose(memory) != 0 && answered)
        answered = error_memory(error);
    if (answered)
        return answer;
    free(answer);
    return NULL;
}

typedef void print_answer(const struct command *command, const char *path, char *answer);

static enum command_status ask_and_print(const struct command *command, print_answer *print)
{
    struct config config;
    struct error error = {0};
    enum command_status status = COMMAND_FAILED;
    if (command_read_config_as_it_is(command, &config)) {
        char *answer = ask(command, config.control_socket.text, &error);
        status = answer ? COMMAND_DONE : command_fail(command, &error);
        if (answer)
            print(command, config.control_socket.text, answer);
        free(answer);
    }
    config_clear(&config);
    return status;
}

enum command_status verb_queue(const struct command *command)
{
    return is_show(command) ? ask_and_print(command, print_shown) : verb_ask_role(command);
}

/* ---- why ---- */

enum { ID_OCTETS = 13, STORIES_MAX = 100 }; /* smtpd/queue/queue_id.h; ctl/journal/stories.c */

static bool is_id(const char *line, size_t octets)
{
    for (size_t i = 0; i < octets; i++)
        if (!ascii_is_digit((uint8_t)line[i]) && !ascii_is_alpha((uint8_t)line[i]))
            return false;
    return octets == ID_OCTETS;
}

/* The lines that are ids, cut out of the answer. */
static int find_ids(char *answer, char *ids[STORIES_MAX])
{
    int count = 0;
    while (*answer && count < STORIES_MAX) {
        size_t end = strcspn(answer, "\n");
        char *next = answer + end + (answer[end] != '\0');
        answer[end] = '\0';
        if (is_id(answer, end))
            ids[count++] = answer;
        answer = next;
    }
    return count;
}

/* The history says what has happened; that nothing has, since the destination rests for example,
 * the queue knows. It need not answer: what is gone from it is no mistake. */
static void print_story(const struct command *command, const char *path, char *story)
{
    char *ids[STORIES_MAX];
    struct error error = {0};
    struct command question = *command;
    fputs(story, stdout);
    question.verb = "queue";
    question.arguments = ids;
    question.count = find_ids(story, ids);
    if (question.count == 0 && is_id(command->arguments[0], strlen(command->arguments[0])))
        ids[question.count++] = command->arguments[0];
    char *waiting = question.count > 0 ? ask(&question, path, &error) : NULL;
    if (waiting && *waiting)
        printf("\nin the queue now:\n%s", waiting);
    free(waiting);
}

enum command_status verb_why(const struct command *command)
{
    return ask_and_print(command, print_story);
}
