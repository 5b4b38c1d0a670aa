/* Verbs by which operators tell the reputation something, or take its tables out. */
#ifndef POSTERN_CONTROL_REPUTATION_VERBS_H
#define POSTERN_CONTROL_REPUTATION_VERBS_H

struct command;

void reputation_feedback_verb(struct command *command, char **arguments, unsigned count);
void reputation_set_verb(struct command *command, char **arguments, unsigned count);
void reputation_clear_verb(struct command *command, char **arguments, unsigned count);
void reputation_top_verb(struct command *command, char **arguments, unsigned count);
void reputation_export_verb(struct command *command, char **arguments, unsigned count);
void reputation_import_verb(struct command *command, char **arguments, unsigned count);

#endif
