// A ring of lines.
#include "view/messages.h"

#include <stddef.h>
#include <stdio.h>

Message*
messages_add(Messages* messages, double now_s, bool refusal, const char* text)
{
  Message* const message = &messages->held[messages->count++ % MESSAGES_HELD];
  message->time_s        = now_s;
  message->refusal       = refusal;
  snprintf(message->text, sizeof message->text, "%s", text);
  for (char* c = message->text; *c; ++c) {
    *c = (unsigned char)*c < ' ' || *c == '\x7f' ? '?' : *c;
  }
  return message;
}

const Message*
messages_get(const Messages* messages, uint64_t age)
{
  return age < messages->count && age < MESSAGES_HELD
           ? &messages->held[(messages->count - 1 - age) % MESSAGES_HELD]
           : NULL;
}
