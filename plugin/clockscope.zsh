#compdef clockscope
# SPDX-License-Identifier: MIT
# Completion for zsh: put it into a directory of $fpath, as _clockscope. The program itself knows the answers.

local -a found
found=("${(@f)$("${words[1]}" --complete "${(j: :)words[1,CURRENT-1]} $PREFIX" "$PREFIX" 2>/dev/null)}")
# What ends in / or = goes on.
compadd -S '' -- ${(M)found:#*[/=]}
compadd -- ${${found:#*[/=]}:#}
