/* Whether a backend may be at an address. The address is held beside the listeners of a configuration when the file is
 * checked, at `add server`, and for each address that a backend's name gets from the DNS. Owns nothing. */
#include "conf/backend_host.h"

#include "conf/limits.h"
#include "lb/base/own_address.h"

#include <stdio.h>
#include <strings.h>

static bool reaches_any(const struct address *address, const struct address_list *listeners) {
    for (size_t i = 0; i < listeners->count; i++)
        if (address_reaches(address, &listeners->items[i]))
            return true;
    return false;
}

#define TITLE_MAX (sizeof "[listen ]" + CONFIG_NAME_MAX)

/* The section that listens there, as "[listen mx]". Returns false when none does. */
static bool find_listener(const struct config *config, const struct address *address, char ret_title[TITLE_MAX]) {
    for (size_t i = 0; i < config->listens_count; i++) {
        if (!reaches_any(address, &config->listens[i].addresses))
            continue;
        snprintf(ret_title, TITLE_MAX, "[listen %s]", config->listens[i].name);
        return true;
    }
    bool is_status = reaches_any(address, &config->status.listen);
    snprintf(ret_title, TITLE_MAX, is_status ? "[status]" : "[feedback]");
    return is_status || reaches_any(address, &config->feedback.listen);
}

bool config_can_be_backend(const struct config *config, const struct address *address, char *ret_why, size_t why_size) {
    char text[ADDRESS_TEXT_MAX], title[TITLE_MAX];
    address_format(address, text);
    if (find_listener(config, address, title))
        snprintf(ret_why, why_size,
                 "%s is postern itself, by %s, so that sessions would go round; needed: the address of a mail server "
                 "behind it",
                 text, title);
    else if (address_is_wildcard(address))
        snprintf(ret_why, why_size, "%s is no host's address, it means any of this one's; needed: one address", text);
    else if (address_is_multicast(address))
        snprintf(ret_why, why_size, "%s is no host's address", text);
    else
        return true;
    return false;
}

bool config_is_same_host(const struct config_backend *a, const struct config_backend *b) {
    if (a->host == NULL || b->host == NULL || a->host_is_name != b->host_is_name)
        return false;
    return a->host_is_name ? a->port == b->port && strcasecmp(a->host, b->host) == 0
                           : address_equal(&a->address, &b->address);
}
