/* SPDX-License-Identifier: MIT */
/*
 * Whose a private directory is: its owner holds a lock on the file `lock` in it for as long as it lives, so that the
 * directories of those who were killed can be told from others' and removed
 * (plugin/clockscope/live/private_folders.py).
 */
#ifndef CLOCKSCOPE_PRIVATE_DIR_H
#define CLOCKSCOPE_PRIVATE_DIR_H

/* Locks a directory that was just made; the lock's descriptor, or -1 where the file system has no locks: such a
 * directory is nobody else's to remove. */
int private_dir_lock(const char *directory);

/* Removes the lock, before the directory is removed. -1 is legal. */
void private_dir_unlock(const char *directory, int lock);

#endif
