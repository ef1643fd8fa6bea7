"""Run every benchmark that needs no data: `make bench`."""

from benchmarks import decoding, startup

decoding.main()
startup.main()
