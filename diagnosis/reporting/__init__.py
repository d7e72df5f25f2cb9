"""What a signed report says and how it looks: content, canonical form and hash, what differs between versions, PDF.

Nothing here writes to the database; `diagnosis.signout` does.
"""
