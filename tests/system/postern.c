/* Postern's configuration, made section by section, and its start with it. Owns the scene's `ini`. */
#include "harness.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static void add(char *text, size_t size, const char *format, va_list arguments) {
    size_t length = strlen(text);
    int more = vsnprintf(text + length, size - length, format, arguments);
    cr_assert(more >= 0 && (size_t)more < size - length, "too long a configuration: %s", text);
}

static void add_lines(char *text, size_t size, const char *lines) {
    size_t length = strlen(text);
    cr_assert(strlen(lines) < size - length, "too long a configuration: %s", text);
    memcpy(text + length, lines, strlen(lines) + 1);
}

void postern_global(struct scene *scene, const char *lines) {
    add_lines(scene->ini.global, sizeof scene->ini.global, lines);
}

void postern_listen(struct scene *scene, const char *lines) {
    add_lines(scene->ini.listen, sizeof scene->ini.listen, lines);
}

void postern_lines(struct scene *scene, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    add(scene->ini.sections, sizeof scene->ini.sections, format, arguments);
    va_end(arguments);
}

void postern_tier(struct scene *scene, const char *name, const char *options) {
    snprintf(scene->ini.tier, sizeof scene->ini.tier, "%s", name);
    postern_lines(scene, "[tier %s]\n%s", name, options);
}

void postern_backend(struct scene *scene, const char *name, unsigned port, const char *options) {
    postern_backend_at(scene, name, "127.0.0.1", port, options);
}

void postern_backend_at(struct scene *scene, const char *name, const char *host, unsigned port, const char *options) {
    cr_assert(scene->ini.tier[0] != '\0', "backend %s stands in no tier", name);
    postern_lines(scene, "[backend %s]\ntier = %s\naddress = %s:%u\n%s", name, scene->ini.tier, host, port, options);
}

void postern_sinks(struct scene *scene, const struct test_sink *sinks, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        postern_backend(scene, sinks[i].name, sinks[i].port, "");
}

/* scene_end() waits no longer than the short stop-timeout, whatever sessions a test leaves behind. */
void postern_write(struct scene *scene) {
    char path[128];
    const char *global = scene->ini.global;
    snprintf(path, sizeof path, "%s/postern.ini", scene->dir);
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file);
    fprintf(file, "[global]\n%s%s%sstate-dir = %s/state\n%s",
            strstr(global, "hostname") == NULL ? "hostname = mx.example.test\n" : "",
            strstr(global, "stop-timeout") == NULL ? "stop-timeout = 2s\n" : "",
            strstr(global, "user =") == NULL ? "user =\n" : "", scene->dir, global);
    fprintf(file, "[listen mx]\naddress = 127.0.0.1:%u\n%s%s", scene->port,
            strstr(scene->ini.listen, "max-per-client") == NULL ? "max-per-client = 0\n" : "", scene->ini.listen);
    fprintf(file, "[control]\nsocket = %s/control.sock\n%s", scene->dir, scene->ini.sections);
    fclose(file);
    memset(&scene->ini, 0, sizeof scene->ini);
}

static void await_answer(struct scene *scene) {
    uint64_t limit = now_ms() + 10000;
    int status = 1, exit_status;
    while (status != 0) {
        cr_assert(waitpid(scene->postern, &exit_status, WNOHANG) == 0, "postern did not start: %s",
                  shell(NULL, "cat %s/postern.log", scene->dir));
        cr_assert(now_ms() < limit, "postern does not answer");
        free(ctl(scene, &status, "show info 2>/dev/null"));
    }
}

void postern_start(struct scene *scene) {
    char program[64], config[128];
    postern_write(scene);
    snprintf(program, sizeof program, "%s/postern", scene->build);
    snprintf(config, sizeof config, "%s/postern.ini", scene->dir);
    scene->postern = spawn(scene, "postern.log", (const char *const[]){program, "-c", config, NULL});
    await_answer(scene);
}
