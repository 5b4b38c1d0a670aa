/* posternctl: sends its words to the control socket and prints the answer; `posternctl feed` goes on in feed.c. Exit
 * status: 0; 1 when the answer is an error (printed on stderr); 2 for wrong usage or when no postern answers. */
#include "lb/base/plain_text.h"
#include "lb/posternctl/feed.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define DEFAULT_SOCKET "/run/postern/control.sock"

static void usage(FILE *out) {
    fputs("usage: posternctl [-s SOCKET] COMMAND...\n"
          "  -s SOCKET  the control socket (default: $POSTERN_SOCKET, else " DEFAULT_SOCKET ")\n"
          "  -h         this text; -V the version\n"
          "       posternctl feed --follow FILE --to HOST:PORT --key-file FILE\n"
          "                       [--trust-sent] [--once]\n"
          "Commands: posternctl help\n",
          out);
}

static FILE *open_socket(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
    } else {
        memcpy(address.sun_path, path, strlen(path) + 1);
        if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
            return fdopen(fd, "r+");
    }
    fprintf(stderr, "posternctl: %s: %s\n", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return NULL;
}

static bool send_words(FILE *stream, char **words) {
    for (; *words != NULL; words++) {
        /* A line end within a word would be a second command. */
        if (strpbrk(*words, "\r\n") != NULL) {
            fputs("posternctl: a word with a line end\n", stderr);
            return false;
        }
        fprintf(stream, "%s%s", *words, words[1] != NULL ? " " : "\n");
    }
    return fflush(stream) == 0;
}

/* Prints up to the empty line that ends an answer. Returns the exit status; in *ret_next what "# next: N" says, which
 * is not printed since run_verb() goes on from it, else 0. */
static int print_answer(FILE *stream, unsigned *ret_next) {
    char *line = NULL;
    size_t room = 0;
    bool is_error = false, is_first = true, is_ended = false;
    while (!is_ended && getline(&line, &room, stream) > 0) {
        is_ended = strcmp(line, "\n") == 0;
        if (is_first)
            is_error = strncmp(line, "error:", 6) == 0;
        if (strncmp(line, "# next: ", 8) == 0)
            *ret_next = (unsigned)strtoul(line + 8, NULL, 10);
        else if (!is_ended && strncmp(line, "# end: ", 7) != 0)
            fputs(line, is_error ? stderr : stdout);
        is_first = false;
    }
    free(line);
    if (!is_ended)
        fputs("posternctl: the answer is not complete\n", stderr);
    return !is_ended ? 2 : is_error ? 1 : 0;
}

static bool is_verb(char **words, const char *first, const char *second) {
    return words[0] != NULL && words[1] != NULL && strcmp(words[0], first) == 0 && strcmp(words[1], second) == 0;
}

static int run_command(FILE *stream, char **words, unsigned *ret_next) {
    *ret_next = 0;
    return send_words(stream, words) ? print_answer(stream, ret_next) : 2;
}

/* A large table comes in parts, in whatever form it was asked for: a part alone would be taken for the whole. */
static int run_verb(FILE *stream, char **words) {
    char from[16], verb[] = "reputation", what[] = "export";
    char *more[] = {verb, what, from, NULL};
    unsigned next;
    int status = run_command(stream, words, &next);
    while (status == 0 && next != 0) {
        snprintf(from, sizeof from, "%u", next);
        status = run_command(stream, more, &next);
    }
    return status;
}

/* Sends each row; a wrong one is named by its line and the others go on. */
static int run_import(FILE *stream, const char *path) {
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    char *line = NULL, verb[] = "reputation", what[] = "import";
    size_t room = 0;
    unsigned number = 0, wrong = 0, imported = 0;
    if (file == NULL) {
        fprintf(stderr, "posternctl: %s: %s\n", path, strerror(errno));
        return 2;
    }
    while (getline(&line, &room, file) > 0) {
        size_t mark = ++number == 1 ? plain_text_mark_length(line, strlen(line)) : 0; /* as spreadsheets write it */
        memmove(line, line + mark, strlen(line + mark) + 1);
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0] == '\0' || line[0] == '#' || strncmp(line, "client,", 7) == 0)
            continue;
        char *words[] = {verb, what, line, NULL}, *answer = NULL;
        size_t answer_room = 0;
        bool is_good = send_words(stream, words) && getline(&answer, &answer_room, stream) > 0;
        if (is_good && strncmp(answer, "error: ", 7) == 0)
            fprintf(stderr, "%s:%u: %s", path, number, answer + 7);
        wrong += !is_good || strncmp(answer, "error: ", 7) == 0;
        imported += is_good && strncmp(answer, "error: ", 7) != 0;
        while (is_good && strcmp(answer, "\n") != 0)
            is_good = getline(&answer, &answer_room, stream) > 0;
        free(answer);
        if (!is_good)
            break;
    }
    free(line);
    if (file != stdin)
        fclose(file);
    printf("%u clients imported, %u rows wrong\n", imported, wrong);
    return wrong > 0;
}

static int run(FILE *stream, char **words) {
    if (is_verb(words, "reputation", "import") && words[2] != NULL && strchr(words[2], ',') == NULL)
        return run_import(stream, words[2]);
    return run_verb(stream, words);
}

int main(int argc, char **argv) {
    const char *path = getenv("POSTERN_SOCKET");
    int option;
    if (argc > 1 && strcmp(argv[1], "feed") == 0)
        return feed_main(argc - 1, argv + 1);
    if (path == NULL)
        path = DEFAULT_SOCKET;
    while ((option = getopt(argc, argv, "+s:hV")) != -1) {
        switch (option) {
        case 's':
            path = optarg;
            break;
        case 'V':
            puts("posternctl " POSTERN_VERSION);
            return 0;
        case 'h':
            usage(stdout);
            return 0;
        default:
            usage(stderr);
            return 2;
        }
    }
    if (optind == argc) {
        usage(stderr);
        return 2;
    }
    FILE *stream = open_socket(path);
    if (stream == NULL)
        return 2;
    int status = run(stream, argv + optind);
    fclose(stream);
    return status;
}
