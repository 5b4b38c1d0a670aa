/* Addresses and networks: what is taken is written in a form that is taken again and means the same. */
#include "lb/base/address.h"

#include "tests/fuzz/fuzz.h"

static void check_address(const char *text, uint16_t default_port) {
    struct address address, again;
    char out[ADDRESS_TEXT_MAX];
    if (address_parse(text, default_port, &address) != 0)
        return;
    address_format(&address, out);
    MUST(strlen(out) < sizeof out && address_parse(out, 0, &again) == 0 && address_equal(&address, &again));
}

static void check_cidr(const char *text) {
    struct cidr cidr, again;
    char host[ADDRESS_TEXT_MAX], out[ADDRESS_TEXT_MAX + 8];
    if (cidr_parse(text, &cidr) != 0)
        return;
    snprintf(out, sizeof out, "%s/%u", address_format_host(&cidr.base, host), cidr.prefix_bits);
    MUST(cidr_parse(out, &again) == 0 && again.prefix_bits == cidr.prefix_bits);
    MUST(cidr_contains(&again, &cidr.base));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = fuzz_text(data, size);
    check_address(text, 0);
    check_address(text, 25);
    check_cidr(text);
    free(text);
    return 0;
}
