/* Reads one line of a mail log, with one function for each program that writes there. What these programs really write
 * stands in tests/samples/mail.log (Postfix 3.7.11, amavis 2.13.0, SpamAssassin 4.0.1, rspamd 3.4). feed.c calls it.
 * Pure. */
#include "lb/posternctl/feed_log.h"

#include "lb/base/hash.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- pieces of a line --- */

static const char *after(const char *text, const char *prefix) {
    size_t length = strlen(prefix);
    return strncmp(text, prefix, length) == 0 ? text + length : NULL;
}

/* Behind a path in <>, in which a quoted string may hold anything (RFC 5321 §4.1.2); NULL: it does not end. */
static const char *skip_path(const char *text) {
    bool is_quoted = false;
    for (text++; *text != '\0'; text++) {
        if (is_quoted && *text == '\\' && text[1] != '\0')
            text++;
        else if (*text == '"')
            is_quoted = !is_quoted;
        else if (*text == '>' && !is_quoted)
            return text + 1;
    }
    return NULL;
}

/* The first `wanted` outside of paths, or NULL; the text behind it. */
static const char *find_outside(const char *text, const char *wanted) {
    while (text != NULL && *text != '\0') {
        const char *found = after(text, wanted);
        if (found != NULL)
            return found;
        text = *text == '<' ? skip_path(text) : text + 1;
    }
    return NULL;
}

static bool take_id(const char *text, size_t length, struct feed_event *event) {
    if (length == 0 || length > FEED_ID_MAX)
        return false;
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)text[i]))
            return false;
    memcpy(event->queue_id, text, length);
    event->queue_id[length] = '\0';
    return true;
}

/* "NAME[ADDRESS]" at the beginning of the text; NAME has no bracket, since Postfix admits host names only. */
static bool take_client(const char *text, struct feed_event *event) {
    char host[ADDRESS_TEXT_MAX];
    const char *begin = strchr(text, '['), *end = begin == NULL ? NULL : strchr(begin, ']');
    if (end == NULL || strcspn(text, " ,<\"") < (size_t)(begin - text) || (size_t)(end - begin) > sizeof host)
        return false;
    size_t length = (size_t)(end - begin - 1);
    memcpy(host, begin + 1, length);
    host[length] = '\0';
    const char *bare = after(host, "IPv6:");
    if (address_parse(bare != NULL ? bare : host, 25, &event->client) < 0)
        return false;
    address_unmap(&event->client); /* the interface of a link-local one is that host's */
    return true;
}

/* A hash of what stands up to the first '>'. spamd puts ? or _ for what it finds odd in an id, so all that is
 * odd counts as the same: a sender should not lose its verdict by a comma. */
static bool take_message_id(const char *text, struct feed_event *event) {
    uint64_t hash = HASH_START;
    size_t length = strcspn(text, ">");
    if (text[length] == '\0' || length == 0)
        return false;
    for (size_t i = 0; i < length; i++)
        hash = hash_octet(hash, (uint8_t)(isalnum((unsigned char)text[i]) ? text[i] : '?'));
    event->message_id = hash;
    return true;
}

/* --- Postfix --- */

static bool is_policy_rejection(const char *text) {
    return after(text, "5.7.") != NULL ||
           (text[0] == '5' && isdigit((unsigned char)text[1]) && strlen(text) > 4 && after(text + 4, "5.7.") != NULL);
}

/* What smtpd says of its proxy filter's last word. */
static void read_proxy(const char *text, unsigned process, struct feed_event *event) {
    const char *accepted = after(text, "proxy-accept: END-OF-MESSAGE: ");
    const char *rejected = after(text, "proxy-reject: END-OF-MESSAGE: ");
    event->process = process;
    if (accepted != NULL && after(accepted, "250 ") != NULL)
        event->verdict = EVIDENCE_FEEDBACK_GOOD;
    else if (rejected != NULL && is_policy_rejection(rejected))
        event->verdict = EVIDENCE_FEEDBACK_SPAM;
    else
        return;
    event->kind = FEED_CONNECTION_VERDICT;
}

static void read_smtpd(const char *text, unsigned process, struct feed_event *event) {
    const char *id_end = strstr(text, ": ");
    const char *client = id_end == NULL ? NULL : after(id_end + 2, "client=");
    if (client == NULL) {
        read_proxy(text, process, event);
    } else if (take_client(client, event)) {
        /* What comes back from a filter was seen when it first came. */
        bool is_again = strstr(client, ", orig_client=") != NULL;
        bool has_queue = after(text, "NOQUEUE: ") == NULL;
        event->process = process;
        if (!has_queue)
            event->kind = FEED_CONNECTION_CLIENT;
        else if (!is_again && take_id(text, (size_t)(id_end - text), event))
            event->kind = FEED_CLIENT;
    }
}

static void read_cleanup(const char *text, struct feed_event *event) {
    const char *message_id = after(text, "message-id=<"), *milter = after(text, "milter-reject: END-OF-MESSAGE from ");
    if (message_id != NULL && take_message_id(message_id, event)) {
        event->kind = FEED_MESSAGE_ID;
    } else if (milter != NULL) {
        const char *reply = strstr(milter, "]: ");
        if (reply != NULL && is_policy_rejection(reply + 3)) {
            event->kind = FEED_VERDICT;
            event->verdict = EVIDENCE_FEEDBACK_SPAM;
        }
    }
}

static void read_postfix(const char *service, const char *text, unsigned process, struct feed_event *event) {
    if (strcmp(service, "smtpd") == 0) {
        read_smtpd(text, process, event);
        return;
    }
    const char *id_end = strstr(text, ": ");
    if (id_end == NULL || !take_id(text, (size_t)(id_end - text), event))
        return;
    const char *rest = id_end + 2, *status = after(rest, "to=") != NULL ? find_outside(rest, ", status=") : NULL;
    if (strcmp(service, "cleanup") == 0)
        read_cleanup(rest, event);
    else if (strcmp(service, "qmgr") == 0 && strcmp(rest, "removed") == 0)
        event->kind = FEED_REMOVED;
    else if (status != NULL && after(status, "sent (") != NULL)
        event->kind = FEED_SENT;
}

/* --- filters --- */

/* "(09907-01) Passed CLEAN {RelayedInbound}, [192.0.2.1]:25 [192.0.2.1] <from> -> <to>, Queue-ID: …": the summary line;
 * lines without {…} tell the same for each recipient. */
static void read_amavis(const char *text, struct feed_event *event) {
    const char *close = text[0] == '(' ? strstr(text, ") ") : NULL;
    if (close == NULL)
        return;
    const char *word = after(close + 2, "Passed "), *brace = strchr(close, '{'), *path = strchr(close, '<');
    if (word != NULL && after(word, "CLEAN {") != NULL)
        event->verdict = EVIDENCE_FEEDBACK_GOOD;
    else if ((word != NULL || (word = after(close + 2, "Blocked ")) != NULL) && after(word, "SPAM") != NULL)
        event->verdict = EVIDENCE_FEEDBACK_SPAM;
    else if (word != NULL && after(word, "INFECTED ") != NULL)
        event->verdict = EVIDENCE_FEEDBACK_VIRUS;
    else
        return;
    const char *id = find_outside(close, ", Queue-ID: ");
    if (brace != NULL && (path == NULL || brace < path) && id != NULL && take_id(id, strcspn(id, ","), event))
        event->kind = FEED_VERDICT;
}

/* "spamd: result: Y 12 - TESTS scantime=…,mid=<…>,…": '.' is ham. */
static void read_spamd(const char *text, struct feed_event *event) {
    const char *result = after(text, "spamd: result: "), *mid;
    if (result == NULL || (*result != 'Y' && *result != '.'))
        return;
    event->verdict = *result == 'Y' ? EVIDENCE_FEEDBACK_SPAM : EVIDENCE_FEEDBACK_GOOD;
    mid = strstr(result, ",mid=<");
    if (mid != NULL && take_message_id(mid + strlen(",mid=<"), event))
        event->kind = FEED_MESSAGE_VERDICT;
}

#define RSPAMD_VERDICT ", (default: "

static bool take_rspamd_action(const char *text, struct feed_event *event) {
    static const struct {
        const char *action;
        enum evidence_kind verdict;
    } actions[] = {
        {"(no action): [", EVIDENCE_FEEDBACK_GOOD},       {"(add header): [", EVIDENCE_FEEDBACK_SPAM},
        {"(rewrite subject): [", EVIDENCE_FEEDBACK_SPAM}, {"(reject): [", EVIDENCE_FEEDBACK_SPAM},
        {"(quarantine): [", EVIDENCE_FEEDBACK_SPAM},      {"(discard): [", EVIDENCE_FEEDBACK_SPAM},
    };
    const char *action = *text != '\0' && text[1] == ' ' ? text + 2 : "";
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        if (after(action, actions[i].action) == NULL)
            continue;
        event->verdict = actions[i].verdict;
        return true;
    }
    return false;
}

/* "<02499b>; task; rspamd_task_write_log: id: <…>, qid: <QUEUE>, ip: …, from: <…>, (default: T (reject): [8.50/15.00]
 * […"; "proxy" where the milter's worker scans by itself. rspamd puts ? for blanks in the message's id, so ">, qid: <"
 * cannot stand in it. */
static void read_rspamd(const char *text, struct feed_event *event) {
    const char *worker = text[0] == '<' ? after(text + strcspn(text, " "), " ") : NULL;
    const char *entry = worker == NULL ? NULL : after(worker, "task; ");
    if (worker != NULL && entry == NULL)
        entry = after(worker, "proxy; ");
    const char *id = entry == NULL ? NULL : after(entry, "rspamd_task_write_log: id: <");
    const char *queue = id == NULL ? NULL : strstr(id, ">, qid: <");
    if (queue == NULL)
        return;
    queue += strlen(">, qid: <");
    size_t length = strcspn(queue, ">");
    const char *verdict = strstr(queue + length, RSPAMD_VERDICT);
    if (verdict == NULL || !take_id(queue, length, event))
        return;
    verdict += strlen(RSPAMD_VERDICT);
    /* rspamd takes the quotes off a sender's address, so where that ends cannot be told. Who imitates a verdict in it
     * should not get away without one. */
    bool is_imitated = strstr(verdict, RSPAMD_VERDICT) != NULL;
    if (is_imitated)
        event->verdict = EVIDENCE_FEEDBACK_SPAM;
    if (is_imitated || take_rspamd_action(verdict, event))
        event->kind = FEED_VERDICT;
}

/* --- the beginning of a line --- */

static const char *skip_word(const char *text) {
    text += strcspn(text, " ");
    return text + strspn(text, " ");
}

static bool is_word_of(const char *text, const char *octets) {
    size_t length = strcspn(text, " ");
    return length > 0 && strspn(text, octets) >= length;
}

/* How many words the time at the beginning of a line takes:
 *   "Nov 24 16:54:35 ", with fractions too          syslog, journalctl -o short, short-precise
 *   "2026-11-24T16:54:35.1+00:00 "                  rsyslog, journalctl -o short-iso, short-iso-precise
 *   "2026-11-24 16:54:35 "                          rspamd's own file
 *   "Tue 2026-11-24 16:54:35 UTC "                  journalctl -o short-full
 *   "1764003275.123456 ", "[12345.678901] "         journalctl -o short-unix, short-monotonic */
static unsigned time_words(const char *text) {
    if (isdigit((unsigned char)*text))
        return memchr(text, 'T', strcspn(text, " ")) != NULL || is_word_of(text, "0123456789.") ? 1 : 2;
    if (*text == '[') /* the number may be filled up with blanks */
        return text[1] == ' ' ? 2 : 1;
    bool has_weekday = strlen(text) > 4 && text[3] == ' ' && is_word_of(text + 4, "0123456789-");
    return has_weekday && strcspn(text + 4, " ") == strlen("2026-11-24") ? 4 : 3;
}

static const char *skip_time(const char *text) {
    for (unsigned words = time_words(text); words > 0; words--)
        text = skip_word(text);
    return *text == '<' ? skip_word(text) : text; /* "<mail.info> " or "<2.6> ": FreeBSD's syslogd -v */
}

/* RFC 5424 §6, as syslogd -O rfc5424 of FreeBSD and rsyslog's SyslogProtocol23Format write it: "<22>1 TIME HOST
 * postfix/smtpd 123 - - …". Its words in the older form's place, in `ret_line`; false when it is none. */
static bool read_rfc5424(const char *line, char *ret_line, size_t size) {
    char *end;
    if (*line != '<' || !isdigit((unsigned char)line[1]))
        return false;
    strtoul(line + 1, &end, 10);
    if (strncmp(end, ">1 ", 3) != 0)
        return false;
    const char *time = end + 3, *host = skip_word(time), *tag = skip_word(host), *process = skip_word(tag);
    const char *id = skip_word(process), *data = skip_word(id);
    if (*data != '-') /* structured data is nobody's of these programs */
        return false;
    int length =
        snprintf(ret_line, size, "%.*s %.*s %.*s[%.*s]: %s", (int)strcspn(time, " "), time, (int)strcspn(host, " "),
                 host, (int)strcspn(tag, " "), tag, (int)strcspn(process, " "), process, skip_word(data));
    return length > 0 && (size_t)length < size;
}

/* "postfix/smtpd[123]: " or "/usr/sbin/amavisd[123]: ": the program's name (an instance's too, as postfix-in) without
 * its folder, the service behind it, the process. Returns the text behind, or NULL. */
static const char *read_tag(const char *text, char program[32], char service[32], unsigned *ret_process) {
    size_t length = strcspn(text, " ");
    const char *bracket = memchr(text, '[', length), *first = text;
    char tag[96];
    if (bracket == NULL || text[length] != ' ' || text[length - 1] != ':' || (size_t)(bracket - text) >= sizeof tag)
        return NULL;
    if (*text == '/')
        for (const char *c = text; c < bracket; c++)
            first = *c == '/' ? c + 1 : first;
    memcpy(tag, first, (size_t)(bracket - first));
    tag[bracket - first] = '\0';
    unsigned long process = strtoul(bracket + 1, NULL, 10);
    if (process == 0 || process > INT_MAX)
        return NULL;
    *ret_process = (unsigned)process;
    char *slash = strrchr(tag, '/');
    if (slash != NULL)
        *slash = '\0';
    size_t program_length = strcspn(tag, "/-");
    if (program_length >= 32 || (slash != NULL && strlen(slash + 1) >= 32))
        return NULL;
    memcpy(program, tag, program_length);
    program[program_length] = '\0';
    memcpy(service, slash != NULL ? slash + 1 : "", slash != NULL ? strlen(slash + 1) + 1 : 1);
    return text + length + 1;
}

/* Where the host's name is not there: a time of seconds in brackets and spamd's process look alike. */
static bool is_spamd_itself(const char *text) {
    return *text == '[' && after(skip_word(text), "info: ") != NULL;
}

void feed_log_read(const char *line, struct feed_event *ret_event) {
    char program[32], service[32], older[FEED_LINE_MAX];
    unsigned process;
    *ret_event = (struct feed_event){.kind = FEED_NOTHING};
    if (read_rfc5424(line, older, sizeof older))
        line = older;
    const char *text = is_spamd_itself(line) ? line : skip_time(line);
    if (*text == '#') { /* rspamd's own file: "#123(normal) <…>; task; …" */
        read_rspamd(skip_word(text), ret_event);
        return;
    }
    if (*text == '[') { /* spamd's own: "[123] info: spamd: …" */
        const char *own = after(skip_word(text), "info: ");
        if (own != NULL)
            read_spamd(own, ret_event);
        return;
    }
    text = read_tag(skip_word(text), program, service, &process);
    if (text == NULL)
        return;
    if (strcmp(program, "postfix") == 0)
        read_postfix(service, text, process, ret_event);
    else if (strcmp(program, "amavis") == 0 || strcmp(program, "amavisd") == 0)
        read_amavis(text, ret_event);
    else if (strcmp(program, "spamd") == 0)
        read_spamd(text, ret_event);
    else if (strcmp(program, "rspamd") == 0)
        read_rspamd(text, ret_event);
}
