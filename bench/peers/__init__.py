"""Other programs that run stages in a row, each installed in an environment of its own, and asked for the same work.

A program gets the image, the number of stages and the CPUs of each as its arguments, runs the stages one after the
other, each as `docker run … true`, and prints the seconds that this took. Importing, and starting a server where there
is one, does not count: Winslow's services run before its runs begin, too.
"""
