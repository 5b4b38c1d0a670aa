/* The answers of verbs. Each verb makes one text or one value; how that reaches the client is told by the functions in
 * struct command_client, so that no verb knows the socket. control.c makes the command and owns it. */
#include "lb/control/command.h"

#include "lb/control/value_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void command_reply(struct command *command, const char *text) {
    command->client->answer(command, text);
}

bool command_is_abandoned(const struct command *command) {
    return command->client->has_left(command);
}

void command_fail(struct command *command, const char *format, ...) {
    char text[1024];
    int length = snprintf(text, sizeof text, "error: ");
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text + length, sizeof text - (size_t)length, format, arguments);
    va_end(arguments);
    command_reply(command, text);
}

void command_reply_value(struct command *command, json_t *value) {
    char *text = command->as_json ? json_dumps(value, JSON_COMPACT) : value_text(value);
    json_decref(value);
    if (text == NULL)
        command_fail(command, "out of memory");
    else
        command_reply(command, text);
    free(text);
}

void command_reply_done(struct command *command, const char *format, ...) {
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (command->as_json)
        command_reply_value(command, json_pack("{s:b, s:s}", "ok", 1, "message", text));
    else
        command_reply(command, text);
}
