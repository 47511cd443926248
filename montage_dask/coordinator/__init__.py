"""Jobs that outlive their clients: a durable queue, the processes that work on it, and HTTP in front.

A change of the queue is a small pure function of what stands in it (`queue`), run by a store as one transaction (`sqlite_store`,
`redis_store`). Whatever dies, a job is in exactly one state, has at most one owner, and only that owner's word on it counts.
"""
