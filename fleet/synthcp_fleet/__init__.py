"""Many recordings through `synthcp replay`, and one report of them.

    bags --plan--> tasks --cluster (Ray)--> bag.replay: fetch, synthcp replay, count
                                                 |
                            OUT/bags/KEY.parquet <'  written whole, last of all: done once, or not
                                                 |
                                       reduce ---'--> fleet.json, timing.json, fleet.md

Every figure is a count, and counts are added: in whatever order, on however many machines, the sums are the same.
"""
