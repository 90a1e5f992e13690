# SPDX-License-Identifier: MIT
# Completion for fish: put it into ~/.config/fish/completions. The program itself knows the answers.

complete --command clockscope --no-files --arguments '(clockscope --complete (commandline -cp) (commandline -ct) 2>/dev/null)'
