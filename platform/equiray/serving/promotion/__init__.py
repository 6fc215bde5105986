"""Whether a shadow may take the primary's place: what the audit log says about both on the same rows.

Read from the log as it streams (`pairing`), compared with limits (`comparing`), decided by rule (`deciding`); what has
been looked at is recorded (`looking`), and the config file changed (`swapping`). It imports neither Ray nor a model.
"""
