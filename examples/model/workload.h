/* Work to trace, chosen by the command line: "workload=loop,switch,…" or "workload=all". See workload.c. */
#ifndef MODEL_WORKLOAD_H
#define MODEL_WORKLOAD_H

void workload_run(void);

#endif
