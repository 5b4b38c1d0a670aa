/* A host with a configuration of conf/postfix, and the DNS and the inner server that it needs, on ports and in folders
 * of the test's own. */
#include "reference_site.h"

#include "talk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char dns[] = "  local-data: \"sender.test. MX 10 mx.sender.test.\"\n"
                          "  local-data: \"example.test. MX 10 mx.sender.test.\"\n"
                          "  local-data: \"mx.sender.test. A " SITE_CLIENT "\"\n"
                          "  local-data-ptr: \"" SITE_CLIENT " mx.sender.test\"\n";

void site_build(struct reference_site *site, const char *reference, const char *recipients, const char *main_cf) {
    struct reference_options options = {.back_port = free_port(), .recipients = recipients, .main_cf = main_cf};
    memset(site, 0, sizeof *site);
    scene_begin(&site->scene, true);
    scripted_begin(&site->inner);
    unbound_begin_as_system(&site->scene, &site->unbound, dns);
    options.resolver = site->unbound.address;
    options.inner_port = site->inner.port;
    options.filter_port = strcmp(reference, "vm-queue") == 0 ? options.back_port : site->inner.port;
    postfix_build_reference(&site->scene, &site->host, reference, &options);
}

void site_begin(struct reference_site *site, const char *reference, const char *recipients, const char *main_cf) {
    site_build(site, reference, recipients, main_cf);
    postfix_start(&site->host);
}

void site_end(struct reference_site *site) {
    postfix_end(&site->host);
    scene_end(&site->scene);
}

bool site_hears(struct reference_site *site, const char *script, const char *reply) {
    char *heard = talk_lines(site->host.port, SITE_CLIENT, script);
    bool does = strstr(heard, reply) != NULL;
    if (!does)
        fprintf(stderr, "%s\nwas answered\n%s\nwithout: %s\n", script, heard, reply);
    free(heard);
    return does;
}
