"""User-restricted access: an application acts on behalf of a person, for whom an identity provider vouches (S35, S36)."""
