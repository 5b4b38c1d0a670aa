/* posternctl: sends its words to the control socket and prints the answer. Exit status: 0; 1 when the answer is an
 * error (printed on stderr); 2 for wrong usage or when no postern answers. */
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

/* Prints up to the empty line that ends an answer. Returns the exit status. */
static int print_answer(FILE *stream) {
    char *line = NULL;
    size_t room = 0;
    bool is_error = false, is_first = true, is_ended = false;
    while (!is_ended && getline(&line, &room, stream) > 0) {
        is_ended = strcmp(line, "\n") == 0;
        if (is_first)
            is_error = strncmp(line, "error:", 6) == 0;
        if (!is_ended)
            fputs(line, is_error ? stderr : stdout);
        is_first = false;
    }
    free(line);
    if (!is_ended)
        fputs("posternctl: the answer is not complete\n", stderr);
    return !is_ended ? 2 : is_error ? 1 : 0;
}

int main(int argc, char **argv) {
    const char *path = getenv("POSTERN_SOCKET");
    int option;
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
    int status = send_words(stream, argv + optind) ? print_answer(stream) : 2;
    fclose(stream);
    return status;
}
