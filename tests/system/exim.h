/* A real Exim in the scene's folder, which need not be installed: tests/exim unpacks it. */
#ifndef POSTERN_TESTS_EXIM_H
#define POSTERN_TESTS_EXIM_H

#include "harness.h"

/* For a shell in the scene's folder: runs Exim; the name of a configuration and further arguments follow. */
#define EXIM_RUN                                                                                                       \
    "env LD_PRELOAD=libnss_wrapper.so NSS_WRAPPER_PASSWD=$PWD/passwd NSS_WRAPPER_GROUP=$PWD/group ./exim4 -C $PWD/"

/* Puts Exim into the scene's folder; its logs are exim/main.log and its like there. */
void exim_begin(struct scene *scene);
/* Writes a configuration that sends all mail to postern. `options` and those of its `transport` are whole lines. */
void exim_write_sender(struct scene *scene, const char *file, const char *options, const char *transport);
/* Starts one that takes all mail and throws it away, as vm1.example.test; returns its port. */
unsigned exim_start_host(struct scene *scene, const char *options);

#endif
