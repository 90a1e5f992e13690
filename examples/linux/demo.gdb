# Boots Debian's kernel in QEMU, records how it brings up its clocks, and prints the timeline.
# `make -f setup.mk demo` builds and downloads what this needs, then sources it from the project's root.
set pagination off
source plugin/clockscope.py
file build/guests/linux-6.1/vmlinux

# examples/linux/qemu-command prints the QEMU command line that the tests boot too.
shell { printf 'clock launch -- '; examples/linux/qemu-command; } >build/demo-launch.gdb
source build/demo-launch.gdb

clock record --overwrite -o build/demo.trace --until exit
clock timeline build/demo.trace
echo \nThe trace is build/demo.trace, the guest's own messages are build/serial.log.\n
echo Read it again without GDB: build/clockscope timeline build/demo.trace\n
