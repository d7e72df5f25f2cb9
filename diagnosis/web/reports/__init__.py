"""The pages of the sign-out: the draft on the case page, signing, signed versions, and the check for everybody."""
