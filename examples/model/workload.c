#include "workload.h"

void workload_run(void)
{
}
