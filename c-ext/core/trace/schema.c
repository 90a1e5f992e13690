/* SPDX-License-Identifier: MIT */
#include "trace/schema.h"

#include "base/util.h"
#include "trace_schema.h"

const char *const schema_sql = trace_sql;
const int schema_application_id = trace_sql_application_id;
const int schema_version = trace_sql_user_version;

const struct schema schema_described = {trace_tables, ARRAY_SIZE(trace_tables), trace_names, trace_indices};
