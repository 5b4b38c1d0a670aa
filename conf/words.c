/* The words for each choice, in the order of its enum. The table of options, the control socket and the log take them
 * from here. */
#include "conf/words.h"

#include <stddef.h>

const char *const log_level_words[] = {"error", "warning", "info", "debug", NULL};
const char *const balance_words[] = {"roundrobin", "leastconn", "random2", "source", NULL};
const char *const admit_words[] = {"all", "vetted", NULL};
const char *const check_words[] = {"none", "tcp", "banner", "ehlo", "starttls", "mail", NULL};
const char *const proxy_words[] = {"none", "v1", "v2", NULL};
const char *const admin_words[] = {"ready", "drain", "maint", NULL};
const char *const refuse_words[] = {"greeting", "rcpt", NULL};
const char *const evidence_words[] = {"reply", "feed", NULL};
const char *const dnslist_action_words[] = {"veto", "halve", NULL};

const char *config_admin_name(enum backend_admin state) {
    return admin_words[state];
}

const char *config_balance_name(enum balance balance) {
    return balance_words[balance];
}

const char *config_admit_name(enum admit admit) {
    return admit_words[admit];
}

const char *config_proxy_name(enum proxy_version version) {
    return proxy_words[version];
}
