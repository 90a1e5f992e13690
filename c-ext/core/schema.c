/* SPDX-License-Identifier: MIT */
#include "schema.h"

#include "trace_sql.h"

const char *const schema_sql = trace_sql;
