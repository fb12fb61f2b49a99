"""The promise of work (S9, A23, A28): a synchronous face with guaranteed delivery behind it.

What changes something is checked, made durable and answered at once ("received"); it is then delivered for as long as it takes, in
order where order matters, no faster than the provider can take it. What only asks goes to the back end as in pass-through.
"""
