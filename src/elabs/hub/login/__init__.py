"""Who may enter: one authenticator for each method of `login.method`, all behind the same guard (names, attempts), none ever blocking the hub."""
