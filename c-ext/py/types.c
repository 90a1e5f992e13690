/* SPDX-License-Identifier: MIT */
/* How the binding's types are made, and how their objects live. */
#include "convert.h"

#include <string.h>

#include "base/util.h"

#define MOST_SLOTS 8

static struct type *types; /* all that are registered */

struct instance_head {
	INSTANCE_HEAD
};

static const char *name_of(const struct type *type)
{
	return strrchr(type->name, '.') + 1;
}

/* No type can be derived from: an object's type is its own. */
static const struct type *type_of(PyObject *self)
{
	const struct type *type = types;

	while ((PyTypeObject *)type->made != Py_TYPE(self))
		type = type->next;
	return type;
}

static int init_once(PyObject *self, PyObject *args, PyObject *keywords)
{
	struct instance_head *object = (struct instance_head *)self;

	(void)args; /* tp_new has taken them */
	(void)keywords;
	if (object->begun) {
		PyErr_Format(PyExc_TypeError, "it is made once: make another %N", (PyObject *)Py_TYPE(self));
		return -1;
	}
	object->begun = true;
	return 0;
}

static _Thread_local bool in_destructor;

bool instance_in_destructor(void)
{
	return in_destructor;
}

static void dealloc(PyObject *self)
{
	const struct type *type = type_of(self);
	freefunc give_back = (freefunc)PyType_GetSlot(Py_TYPE(self), Py_tp_free);
	bool before = in_destructor;

	if (type->leave)
		type->leave(self);
	in_destructor = true;
	Py_BEGIN_ALLOW_THREADS type->release(self);
	Py_END_ALLOW_THREADS in_destructor = before;
	give_back(self);
	Py_DECREF(type->made);
}

int type_register(PyObject *module, struct type *type)
{
	PyType_Slot slots[MOST_SLOTS] = {
		{Py_tp_doc, (void *)type->doc}, {Py_tp_new, type->create},      {Py_tp_init, init_once},
		{Py_tp_dealloc, dealloc},       {Py_tp_methods, type->methods},
	};
	PyType_Spec spec = {.name = type->name, .basicsize = type->size, .flags = Py_TPFLAGS_DEFAULT, .slots = slots};

	if (type->properties)
		slots[5] = (PyType_Slot){Py_tp_getset, type->properties};
	type->made = PyType_FromSpec(&spec);
	if (!type->made)
		return -1;
	type->next = types;
	types = type;
	return PyModule_AddObjectRef(module, name_of(type), type->made);
}

bool type_has(const struct type *type, PyObject *object)
{
	int is = PyObject_IsInstance(object, type->made);

	if (is == 0)
		PyErr_Format(PyExc_TypeError, "a %s is wanted", name_of(type));
	return is > 0;
}

PyObject *instance_create(PyTypeObject *type)
{
	return ((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
}

PyObject *instance_open(PyTypeObject *type, PyObject *args, PyObject *keywords,
			struct cs_error *(*open)(PyObject *object, const char *path))
{
	static char *names[] = {"path", NULL};
	struct cs_error *error;
	PyObject *path, *self;

	if (!PyArg_ParseTupleAndKeywords(args, keywords, "O&", names, PyUnicode_FSConverter, &path))
		return NULL;
	self = instance_create(type);
	error = self ? open(self, PyBytes_AsString(path)) : NULL;
	Py_DECREF(path);
	if (!error)
		return self;
	Py_DECREF(self);
	return raise_error(error);
}
