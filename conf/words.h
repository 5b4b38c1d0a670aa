/* The words of the file and the control socket for a choice, in the order of their enums in conf/config.h. */
#ifndef POSTERN_CONF_WORDS_H
#define POSTERN_CONF_WORDS_H

#include "conf/config.h"

/* Each ends with NULL. */
extern const char *const log_level_words[];
extern const char *const balance_words[];
extern const char *const admit_words[];
extern const char *const check_words[];
extern const char *const proxy_words[];
extern const char *const admin_words[];
extern const char *const refuse_words[];
extern const char *const evidence_words[];
extern const char *const dnslist_action_words[];

const char *config_admin_name(enum backend_admin state);
const char *config_balance_name(enum balance balance);
const char *config_admit_name(enum admit admit);
const char *config_proxy_name(enum proxy_version version);

#endif
