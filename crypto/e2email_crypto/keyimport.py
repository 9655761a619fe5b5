"""Taking over an existing OpenPGP secret key: gpg and Thunderbird exports."""
