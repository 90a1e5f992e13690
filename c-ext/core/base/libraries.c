/* SPDX-License-Identifier: MIT */
#include "base/libraries.h"

#include <capstone/capstone.h>
#include <expat.h>
#include <sqlite3.h>

#define VERSION(MAJOR, MINOR) ((unsigned)(MAJOR)*1000 + (unsigned)(MINOR))

struct cs_error *libraries_compare(const char *name, unsigned compiled, unsigned running)
{
	if (compiled / 1000 == running / 1000 && compiled <= running)
		return NULL;
	return cs_error_create(CS_ERROR_STATE, "it was built for %s %u.%u, and %u.%u is here", name, compiled / 1000,
			       compiled % 1000, running / 1000, running % 1000);
}

struct cs_error *libraries_check(void)
{
	XML_Expat_Version expat = XML_ExpatVersionInfo();
	int major, minor;

	cs_version(&major, &minor);
	CS_TRY(libraries_compare("capstone", VERSION(CS_API_MAJOR, CS_API_MINOR), VERSION(major, minor)));
	CS_TRY(libraries_compare("expat", VERSION(XML_MAJOR_VERSION, XML_MINOR_VERSION),
				 VERSION(expat.major, expat.minor)));
	return libraries_compare("SQLite", SQLITE_VERSION_NUMBER / 1000, (unsigned)sqlite3_libversion_number() / 1000);
}
