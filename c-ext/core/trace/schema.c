/* SPDX-License-Identifier: MIT */
#include "trace/schema.h"

#include "trace_sql.h"

const char *const schema_sql = trace_sql;
