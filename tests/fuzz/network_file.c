/* A file of networks, as an operator or a script may leave it. */
#include "lb/base/network_file.h"
#include "lb/reputation/access.h"

#include "tests/fuzz/fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[40], *messages = NULL;
    size_t messages_length;
    struct network_file list = {0};
    int file = memfd_create("networks", 0);
    MUST(file >= 0 && write(file, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    FILE *errors = open_memstream(&messages, &messages_length);
    MUST(errors != NULL);
    int result = network_file_read(path, &access_allow_file, errors, &list);
    fclose(errors);
    close(file);
    MUST((result == 0) == (messages_length == 0));
    if (result == 0) {
        for (size_t i = 0; i < list.networks.count; i++)
            MUST(network_file_has_address(&list, &list.networks.items[i].base));
        for (size_t i = 0; i < list.domains.count; i++)
            MUST(network_file_find_name(&list, list.domains.items[i] + 1) != NULL);
        network_file_finish(&list);
    }
    free(messages);
    return 0;
}
