/* Paths with their parameters, and domains, of any octets. */
#include "lb/smtp/path.h"
#include "lb/smtp/parameters.h"

#include "tests/fuzz/fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = (char *)fuzz_copy(data, size);
    struct smtp_path path;
    struct smtp_parameters parameters;
    size_t used = 0;
    enum path_result result = path_parse(text, size, &used, &path);
    MUST(used <= size);
    if (result == PATH_OK) {
        MUST(used >= 1);
        MUST(strlen(path.domain) <= SMTP_DOMAIN_MAX && strlen(path.local_part) <= SMTP_LOCAL_PART_MAX);
        MUST(path.is_null == (path.domain[0] == '\0' && path.local_part[0] == '\0'));
        parameters_parse(text + used, size - used, false, "SIZE\nDSN\n", &parameters);
    }
    if (domain_is_fqdn(text, size, true))
        MUST(domain_is_valid(text, size, true) && text_is_utf8(text, size) && memchr(text, '.', size) != NULL);
    free(text);
    return 0;
}
