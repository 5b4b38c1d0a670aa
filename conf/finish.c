/* Frees a configuration. The table of options knows which fields own memory, so each section is freed option by option.
 */
#include "conf/finish.h"

#include "conf/options.h"
#include "conf/value.h"

#include <stdlib.h>

static void finish_section(enum section section, void *data) {
    for (size_t i = 0; i < options_count; i++)
        if (options[i].section == section)
            option_finish(&options[i], data);
}

void config_free(struct config *config) {
    if (config == NULL)
        return;
    for (unsigned section = 0; section < SECTIONS_COUNT; section++) {
        const struct section_type *type = &section_types[section];
        if (!type->is_named) {
            finish_section((enum section)section, (char *)config + type->offset);
            continue;
        }
        char *items = *section_items(config, (enum section)section);
        for (size_t i = 0; i < *section_count(config, (enum section)section); i++) {
            void *data = items + i * type->bytes;
            free(*(char **)data);
            finish_section((enum section)section, data);
        }
        free(items);
    }
    free(config->path);
    free(config);
}

void config_backend_finish(struct config_backend *backend) {
    free(backend->name);
    finish_section(SECTION_BACKEND, backend);
}
