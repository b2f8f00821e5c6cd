# In the customer's Microsoft tenant.
#    The domain sbc.contoso.example, or one above it, has to be verified there, and one licensed user or
#    resource account must have an address in the domain that is (up to 24 hours).
Connect-MicrosoftTeams
New-CsOnlinePSTNGateway -Fqdn sbc.contoso.example -SipSignalingPort 5061 -MaxConcurrentSessions 40 `
  -FailoverTimeSeconds 20 -FailoverResponseCodes "408,503,504" -ForwardCallHistory $true `
  -SendSipOptions $true -MediaBypass $true -Enabled $true

Set-CsOnlinePstnUsage -Identity Global -Usage @{Add='portcullis-contoso'}
New-CsOnlineVoiceRoute -Identity 'portcullis-contoso' -NumberPattern '.*' -Priority 1 `
  -OnlinePstnGatewayList sbc.contoso.example -OnlinePstnUsages 'portcullis-contoso'
New-CsOnlineVoiceRoutingPolicy -Identity 'portcullis-contoso' -OnlinePstnUsages 'portcullis-contoso'

# Emergency calls by this route whatever a user's own policy says: keep the numbers of the users' country, take
# away the marks, and grant the policy to users or network sites.
# $emergency = @(
#   New-CsTeamsEmergencyNumber -EmergencyDialString '112' -OnlinePSTNUsage 'portcullis-contoso'
#   New-CsTeamsEmergencyNumber -EmergencyDialString '911' -OnlinePSTNUsage 'portcullis-contoso'
#   New-CsTeamsEmergencyNumber -EmergencyDialString '933' -OnlinePSTNUsage 'portcullis-contoso'
#   New-CsTeamsEmergencyNumber -EmergencyDialString '999' -OnlinePSTNUsage 'portcullis-contoso'
# )
# New-CsTeamsEmergencyCallRoutingPolicy -Identity 'portcullis-contoso' -EmergencyNumbers $emergency -AllowEnhancedEmergencyServices $true
# Grant-CsTeamsEmergencyCallRoutingPolicy -Identity '<user>' -PolicyName 'portcullis-contoso'

# Who has which number: fill in the users' names; those left empty are left out.
$users = [ordered]@{
  '+14255550100' = ''
  '+14255550101' = ''
  '+14255550102' = ''
  # and, one line a number, those of +14255551000 to +14255551999
}
foreach ($number in $users.Keys) {
  $user = $users[$number]
  if (-not $user) { continue }
  # Modules before 2026 have -PhoneNumber and -PhoneNumberType instead of -TelephoneNumber and -NumberType.
  Set-CsPhoneNumberAssignment -Identity $user -TelephoneNumber $number -NumberType DirectRouting
  Grant-CsOnlineVoiceRoutingPolicy -Identity $user -PolicyName 'portcullis-contoso'
}
