"""Run every benchmark that needs no data: `make bench`."""

from benchmarks import decoding, lens, startup

decoding.main()
startup.main()
lens.main()
