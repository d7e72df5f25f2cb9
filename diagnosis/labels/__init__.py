"""Labels for slides: what they are printed on, what stands on them, and the document that goes to the printer.

`stock`: rolls and sheets. `layout`: one label, in millimetres. `printing`: the PDF. `settings`: the laboratory's own.
"""
