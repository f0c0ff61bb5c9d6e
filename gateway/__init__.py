"""The DICOM node: receives studies, has them assessed, delivers the results, and shows what became of each.

The way of a study through its processes::

    receive    C-STORE: file, folder and journal row are durable before the sender hears "success"
    upkeep     a study that has been quiet long enough becomes a job; a late image makes a new version
    work       one resident application, a study folder in, a result folder out
    deliver    every object to every destination, retried until it is sure, committed where that is offered
    web        what became of everything, for people; metrics for machines

The processes share a database (:mod:`gateway.store.schema`) and a spool (:mod:`gateway.store.spool`), and nothing else.
Research use only, not for diagnosis.
"""
