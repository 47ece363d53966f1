// What a plugin in C builds on, beside the bindings in coffer.h. `coffer plugin build` writes both anew each time,
// from the server's own release.
//
// A sandbox lives for one call and is thrown away whole: nothing here is ever freed.

#ifndef COFFER_PLUGIN_H
#define COFFER_PLUGIN_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coffer.h"

typedef coffer_string_t text_t;
typedef coffer_list_u8_t bytes_t;
typedef coffer_plugin_types_error_t error_t;
typedef exports_coffer_plugin_engine_request_t request_t;
typedef exports_coffer_plugin_engine_response_t response_t;
typedef exports_coffer_plugin_auth_step_t step_t;
typedef exports_coffer_plugin_auth_identity_t identity_t;

// Is it this word?
static inline bool is(const text_t *text, const char *word) {
  return text->len == strlen(word) && memcmp(text->ptr, word, text->len) == 0;
}

// Text that stays where it is.
static inline text_t text(const char *word) {
  return (text_t){.ptr = (uint8_t *)word, .len = strlen(word)};
}

// A refusal, to be returned: `return refuse(error, "not-found", "")`. Its codes stand in the server's own documentation,
// at /docs/plugins-reference.
static inline bool refuse(error_t *error, const char *code, const char *message) {
  *error = (error_t){0};
  coffer_string_dup(&error->code, code);
  coffer_string_dup(&error->message, message);
  return false;
}

// The same, with the one thing that the caller can mend: `at` is a JSON Pointer into the body.
static inline bool refuse_at(error_t *error, const char *at, const char *code, const char *message) {
  refuse(error, "invalid", "");
  coffer_plugin_types_problem_t *problem = malloc(sizeof *problem);
  coffer_string_dup(&problem->at, at);
  coffer_string_dup(&problem->code, code);
  coffer_string_dup(&problem->message, message);
  error->problems = (coffer_plugin_types_list_problem_t){.ptr = problem, .len = 1};
  return false;
}

// The same, and when to come again: `return refuse_for(error, "rate-limited", "", 1500)`.
static inline bool refuse_for(error_t *error, const char *code, const char *message, uint32_t retry_after_ms) {
  refuse(error, code, message);
  error->retry_after_ms = (coffer_option_u32_t){.is_some = true, .val = retry_after_ms};
  return false;
}

// What an engine answers, to be returned: JSON, as printf has it. What is not a number, `quoted` makes fit for it.
__attribute__((format(printf, 2, 3))) static inline bool answer(response_t *response, const char *format, ...) {
  va_list arguments, again;
  va_start(arguments, format);
  va_copy(again, arguments);
  int size = vsnprintf(NULL, 0, format, arguments);
  char *body = malloc((size_t)size + 1);
  vsnprintf(body, (size_t)size + 1, format, again);
  va_end(again);
  va_end(arguments);
  *response = (response_t){.body = {.ptr = (uint8_t *)body, .len = (size_t)size}};
  return true;
}

// The value under a key as a string; `*value` is NULL if there is none.
static inline bool get(text_t *key, char **value, error_t *error) {
  coffer_plugin_storage_option_entry_t entry;
  *value = NULL;
  if (!coffer_plugin_storage_get(key, &entry, error)) return false;
  if (entry.is_some) {
    *value = malloc(entry.val.value.len + 1);
    memcpy(*value, entry.val.value.ptr, entry.val.value.len);
    (*value)[entry.val.value.len] = 0;
  }
  return true;
}

static inline bool put(text_t *key, const char *value, error_t *error) {
  bytes_t bytes = {.ptr = (uint8_t *)value, .len = strlen(value)};
  return coffer_plugin_storage_put(key, &bytes, NULL, error);
}

// Whom a login has proved; which roles that gives is for the mount's mapping to say.
static inline identity_t identity_of(const text_t *subject) {
  identity_t identity = {.limits = {.renewable = true}};
  coffer_string_dup_n(&identity.subject, (const char *)subject->ptr, subject->len);
  coffer_string_dup_n(&identity.display_name, (const char *)subject->ptr, subject->len);
  // What `refresh` is given: here the subject itself.
  coffer_string_dup_n((text_t *)&identity.internal, (const char *)subject->ptr, subject->len);
  return identity;
}

static inline bool prove(step_t *step, const text_t *subject) {
  *step = (step_t){.tag = EXPORTS_COFFER_PLUGIN_AUTH_STEP_IDENTITY, .val = {.identity = identity_of(subject)}};
  return true;
}

static inline const uint8_t *skip_string(const uint8_t *at, const uint8_t *end) {
  for (at++; at < end && *at != '"'; at++)
    if (*at == '\\') at++;
  return at + 1;
}

// One character of a JSON string, as UTF-8. Characters beyond the first 65536 stand in it as they are, or as a pair
// of escapes, of which nothing is made here.
static inline char *unescaped(const uint8_t **at, char *to) {
  const uint8_t *from = *at;
  if (*from != '\\') {
    *to++ = (char)*from++;
  } else if (from[1] != 'u') {
    const char *found = strchr("b\bf\fn\nr\rt\t", from[1]);
    *to++ = found ? found[1] : (char)from[1];
    from += 2;
  } else {
    char digits[5] = {(char)from[2], (char)from[3], (char)from[4], (char)from[5], 0};
    unsigned long code = strtoul(digits, NULL, 16);
    from += 6;
    if (code < 0x80) {
      *to++ = (char)code;
    } else if (code < 0x800) {
      *to++ = (char)(0xc0 | code >> 6), *to++ = (char)(0x80 | (code & 63));
    } else {
      *to++ = (char)(0xe0 | code >> 12), *to++ = (char)(0x80 | (code >> 6 & 63)), *to++ = (char)(0x80 | (code & 63));
    }
  }
  *at = from;
  return to;
}

// The text of a member of a JSON object (the host has checked that it is one), or NULL.
static inline char *member(const bytes_t *object, const char *name) {
  const uint8_t *at = object->ptr, *end = at + object->len;
  int depth = 0;
  bool is_name = true;
  while (at < end) {
    switch (*at) {
      case '{': case '[': depth++; is_name = *at++ == '{'; break;
      case '}': case ']': depth--; at++; break;
      case ':': is_name = false; at++; break;
      case ',': is_name = depth == 1; at++; break;
      case '"': {
        const uint8_t *from = at + 1, *after = skip_string(at, end);
        bool found = depth == 1 && is_name && (size_t)(after - 1 - from) == strlen(name) && !memcmp(from, name, strlen(name));
        at = after;
        if (!found) break;
        while (at < end && (*at == ':' || *at == ' ' || *at == '\n' || *at == '\t' || *at == '\r')) at++;
        if (at >= end || *at != '"') return NULL;
        const uint8_t *last = skip_string(at, end) - 1;
        char *text = malloc((size_t)(last - at)), *to = text;
        for (at++; at < last;) to = unescaped(&at, to);
        *to = 0;
        return text;
      }
      default: at++;
    }
  }
  return NULL;
}

// A JSON string of the text, quotes and all.
static inline char *quoted(const char *text) {
  char *whole = malloc(strlen(text) * 6 + 3), *to = whole;
  *to++ = '"';
  for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
    if (*at == '"' || *at == '\\') *to++ = '\\', *to++ = (char)*at;
    else if (*at < 0x20) to += sprintf(to, "\\u%04x", *at);
    else *to++ = (char)*at;
  }
  *to++ = '"';
  *to = 0;
  return whole;
}

#endif
